package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/identity"
	"github.com/sotto-fl/sotto/server/round"
)

// Outcomes of this package.
var (
	errBusy          = errors.New("all receive buffers are taken: try again shortly")
	errVersion       = errors.New("protocol versions differ: use matching versions of client and server")
	errNoCertificate = errors.New("this call needs a client certificate: join first")
	errMalformed     = errors.New("the message breaks the protocol")
)

// outcomes is the one table between errors and the wire. client/rpc holds its
// mirror image. The first match counts.
var outcomes = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{coordinator.ErrFinished, codes.FailedPrecondition, pb.ReasonFinished},
	{coordinator.ErrHalted, codes.Unavailable, pb.ReasonHalted},
	{coordinator.ErrExcluded, codes.PermissionDenied, pb.ReasonExcluded},
	{coordinator.ErrSuperseded, codes.Aborted, pb.ReasonSuperseded},
	{coordinator.ErrStale, codes.Aborted, pb.ReasonClosed},
	{coordinator.ErrMalformed, codes.InvalidArgument, pb.ReasonMalformed},
	{round.ErrClosed, codes.Aborted, pb.ReasonClosed},
	{round.ErrNotSelected, codes.FailedPrecondition, pb.ReasonNotSelected},
	{round.ErrDuplicate, codes.AlreadyExists, pb.ReasonDuplicate},
	{round.ErrMalformed, codes.InvalidArgument, pb.ReasonMalformed},
	{errBusy, codes.ResourceExhausted, pb.ReasonBusy},
	{errVersion, codes.FailedPrecondition, pb.ReasonVersion},
	{errNoCertificate, codes.Unauthenticated, pb.ReasonNoCertificate},
	{errMalformed, codes.InvalidArgument, pb.ReasonMalformed},
	{identity.ErrRevoked, codes.PermissionDenied, pb.ReasonRevoked},
	{identity.ErrNotMember, codes.Unauthenticated, pb.ReasonNotMember},
	{identity.ErrUnknownInvitation, codes.PermissionDenied, pb.ReasonInvitationUnknown},
	{identity.ErrInvitationUsed, codes.PermissionDenied, pb.ReasonInvitationUsed},
	{identity.ErrInvitationExpired, codes.PermissionDenied, pb.ReasonInvitationExpired},
	{identity.ErrNameTaken, codes.AlreadyExists, pb.ReasonNameTaken},
	{committee.ErrNoRecord, codes.Unavailable, pb.ReasonNoRecord},
	{committee.ErrOtherKey, codes.AlreadyExists, pb.ReasonMalformed},
	{committee.ErrSignature, codes.InvalidArgument, pb.ReasonMalformed},
	{coordinator.ErrNoLedger, codes.FailedPrecondition, pb.ReasonMalformed},
	{coordinator.ErrNoCommittee, codes.Unavailable, pb.ReasonNoRecord},
	{identity.ErrBadRequest, codes.InvalidArgument, pb.ReasonBadRequest},
}

// busyDelay is the retry hint when all buffers are taken: about the time one
// upload of a few megabytes takes.
const busyDelay = 2 * time.Second

// toStatus turns an error into what the client is told. Of an error that is not
// in the table it is told nothing; the log has it.
func toStatus(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	for _, o := range outcomes {
		if !errors.Is(err, o.err) {
			continue
		}
		details := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: o.reason, Domain: pb.ReasonDomain})}
		if o.err == errBusy {
			details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(busyDelay)}))
		}
		st := status.New(o.code, err.Error())
		if with, e := st.WithDetails(details...); e == nil {
			st = with
		}
		return st.Err()
	}
	// The client went away, or gRPC itself gave a status (a cut-off stream).
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if st, ok := status.FromError(err); ok {
		return st.Err()
	}
	zerolog.Ctx(ctx).Error().Err(err).Str("method", method).Msg("call failed")
	return status.Error(codes.Internal, "internal error; the server's log has the details")
}

func checkVersion(v uint32) error {
	if v != pb.Version {
		return fmt.Errorf("the client speaks protocol version %d, this server version %d: %w", v, pb.Version, errVersion)
	}
	return nil
}

// hash32 reads the 32 bytes of a SHA-256.
func hash32(field string, b []byte) ([32]byte, error) {
	if len(b) != 32 {
		return [32]byte{}, fmt.Errorf("%s has %d bytes, want 32: %w", field, len(b), errMalformed)
	}
	return [32]byte(b), nil
}
