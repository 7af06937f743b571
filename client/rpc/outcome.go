package rpc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sotto-fl/sotto/client/participant"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// Refusals of Join and Renew, and passing states of a server.
var (
	ErrInvitationUnknown = errors.New("the server does not know this invitation")
	ErrInvitationUsed    = errors.New("the invitation was used before")
	ErrInvitationExpired = errors.New("the invitation has expired")
	ErrNameTaken         = errors.New("the name is taken")
	ErrBusy              = errors.New("the server is busy")
	ErrNoRecord          = errors.New("the run waits for its committee of key holders")
	ErrHalted            = errors.New("the run waits for the server's operator")
	ErrUnreachable       = errors.New("the server cannot be reached")
)

// outcomes mirrors the table in server/rpc. What several reasons share is all a
// participant needs to know; the text says which it was.
var outcomes = map[string]error{
	pb.ReasonFinished:          participant.ErrFinished,
	pb.ReasonClosed:            participant.ErrClosed,
	pb.ReasonNotSelected:       participant.ErrClosed,
	pb.ReasonDuplicate:         participant.ErrClosed,
	pb.ReasonSuperseded:        participant.ErrRefused,
	pb.ReasonMalformed:         participant.ErrRefused,
	pb.ReasonExcluded:          participant.ErrRefused,
	pb.ReasonVersion:           participant.ErrRefused,
	pb.ReasonNoCertificate:     participant.ErrRefused,
	pb.ReasonRevoked:           participant.ErrRefused,
	pb.ReasonNotMember:         participant.ErrRefused,
	pb.ReasonBadRequest:        participant.ErrRefused,
	pb.ReasonHalted:            ErrHalted,
	pb.ReasonNoRecord:          ErrNoRecord,
	pb.ReasonBusy:              ErrBusy,
	pb.ReasonInvitationUnknown: ErrInvitationUnknown,
	pb.ReasonInvitationUsed:    ErrInvitationUsed,
	pb.ReasonInvitationExpired: ErrInvitationExpired,
	pb.ReasonNameTaken:         ErrNameTaken,
}

// outcome gives an error from gRPC back its sentinel. The text is the server's,
// without gRPC's framing.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	o := &refusal{text: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == pb.ReasonDomain {
				o.sentinel = outcomes[d.GetReason()]
			}
		case *errdetails.RetryInfo:
			o.after = d.GetRetryDelay().AsDuration()
		}
	}
	switch {
	case o.sentinel != nil:
	case st.Code() == codes.Unavailable:
		// gRPC has no more than a text of what the network said, the reason last.
		o.sentinel = ErrUnreachable
		o.text = st.Message()
		if i := strings.LastIndex(o.text, ": "); i >= 0 {
			o.text = o.text[i+2:]
		}
		o.text = strings.TrimSuffix(o.text, `"`)
	default:
		return fmt.Errorf("%s (%s)", st.Message(), st.Code())
	}
	return o
}

// refusal is an outcome that the server named.
type refusal struct {
	text     string
	sentinel error
	after    time.Duration
}

func (r *refusal) Error() string {
	if r.sentinel == participant.ErrRefused || r.sentinel == ErrUnreachable {
		return fmt.Sprintf("%v: %s", r.sentinel, r.text)
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.sentinel }

// RetryAfter is how long the server asked to wait before trying again, if it did.
func RetryAfter(err error) (time.Duration, bool) {
	var r *refusal
	if errors.As(err, &r) && r.after > 0 {
		return r.after, true
	}
	return 0, false
}
