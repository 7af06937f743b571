package rpc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/statement"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// Register hands the server the public half of the member's signing key, once.
func (c *Client) Register(ctx context.Context, key statement.Key) error {
	_, err := pb.NewCommitteeClient(c.conn).Register(ctx, &pb.RegisterRequest{ProtocolVersion: pb.Version, SigningKey: key[:]})
	return c.conn.outcome(err)
}

// Record returns the committee record as the server has it, and how many members
// have signed. Whether it is the right one is for the data holder to say.
func (c *Client) Record(ctx context.Context) (*keyshare.Record, int, error) {
	r, signatures, err := c.record(ctx)
	n := 0
	for _, s := range signatures {
		if len(s) > 0 {
			n++
		}
	}
	return r, n, err
}

// SignedRecord returns the committee record with its members' signatures, verified.
// It waits while some are missing.
func (c *Client) SignedRecord(ctx context.Context) (*keyshare.SignedRecord, error) {
	for told := false; ; {
		r, signatures, err := c.record(ctx)
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return nil, err
		}
		if err == nil {
			s := &keyshare.SignedRecord{Record: *r}
			for _, b := range signatures {
				if len(b) == ed25519.SignatureSize {
					s.Signatures = append(s.Signatures, statement.Signature(b))
				}
			}
			if len(s.Signatures) == len(r.Members) {
				return s, s.Verify()
			}
		}
		if !told {
			zerolog.Ctx(ctx).Info().Msg("waiting until every member has signed the committee record")
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func (c *Client) record(ctx context.Context) (*keyshare.Record, [][]byte, error) {
	a, err := pb.NewCommitteeClient(c.conn).Record(ctx, &pb.RecordRequest{ProtocolVersion: pb.Version})
	if err != nil {
		return nil, nil, c.conn.outcome(err)
	}
	r, err := keyshare.ParseRecord(a.GetRecord())
	if err != nil {
		return nil, nil, fmt.Errorf("committee record from the server: %w", err)
	}
	return r, a.GetSignatures(), nil
}

// Approve sends a member's signature on the record.
func (c *Client) Approve(ctx context.Context, hash statement.Digest, s statement.Signature) error {
	_, err := pb.NewCommitteeClient(c.conn).Approve(ctx, &pb.ApproveRequest{ProtocolVersion: pb.Version, RecordSha256: hash[:], Signature: s[:]})
	return c.conn.outcome(err)
}

// Holder is a member's stream to its server. It implements keyholder.Server for one
// holder: calls come one after another. Close it when done.
type Holder struct {
	client *Client
	key    ed25519.PrivateKey
	ring   keyshare.Ring

	stream grpc.BidiStreamingClient[pb.HolderMessage, pb.HolderTask]
	cancel context.CancelFunc
	head   keyholder.Head
	boxes  int // sealed shares of the last proposal that were not received yet
}

var _ keyholder.Server = (*Holder)(nil)

// Holder opens a key holder's side of the connection. The key is the member's
// signing key, the ring that of the record's preset.
func (c *Client) Holder(key ed25519.PrivateKey, ring keyshare.Ring) *Holder {
	return &Holder{client: c, key: key, ring: ring}
}

// Close ends the member's presence.
func (h *Holder) Close() { h.drop() }

func (h *Holder) drop() {
	if h.cancel != nil {
		h.cancel()
	}
	h.stream, h.cancel, h.boxes = nil, nil, 0
}

// open makes the stream if there is none. It waits for the run to begin.
func (h *Holder) open(ctx context.Context) error {
	if h.stream != nil {
		return nil
	}
	// The stream outlives the call that opens it; Close and errors end it.
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	stream, err := pb.NewCommitteeClient(h.client.conn).Hold(lasting, grpc.WaitForReady(false))
	if err != nil {
		cancel()
		return h.fail(err)
	}
	h.stream, h.cancel = stream, cancel
	key := statement.PublicKey(h.key)
	if err := stream.Send(&pb.HolderMessage{Message: &pb.HolderMessage_Hello{Hello: &pb.HolderHello{ProtocolVersion: pb.Version, SigningKey: key[:]}}}); err != nil {
		return h.fail(err)
	}
	m, err := stream.Recv()
	if err != nil {
		return h.fail(err)
	}
	w := m.GetWelcome()
	if w == nil {
		return h.fail(errors.New("the server's first message is not a welcome"))
	}
	h.head = keyholder.Head{Run: w.GetRun(), Round: w.GetHead()}
	return nil
}

// fail drops the stream and translates what ended it. A send's io.EOF hides the
// reason, which a receive has.
func (h *Holder) fail(err error) error {
	if h.stream != nil && errors.Is(err, io.EOF) {
		if _, e := h.stream.Recv(); e != nil {
			err = e
		}
	}
	h.drop()
	err = h.client.conn.outcome(err)
	switch {
	case errors.Is(err, participant.ErrFinished):
		return fmt.Errorf("%w: %w", keyholder.ErrFinished, err)
	case errors.Is(err, participant.ErrRefused):
		return fmt.Errorf("%w: %w", keyholder.ErrRefused, err)
	}
	return err
}

// Heads implements keyholder.Server.
func (h *Holder) Heads(ctx context.Context) ([]keyholder.Head, error) {
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	if h.head.Round == 0 {
		return nil, nil
	}
	return []keyholder.Head{h.head}, nil
}

// NextTask implements keyholder.Server.
func (h *Holder) NextTask(ctx context.Context) (keyholder.Task, error) {
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, h.cancel) // a stopped process leaves at once
	defer stop()
	if err := h.stream.Send(&pb.HolderMessage{Message: &pb.HolderMessage_Ready{Ready: &pb.HolderReady{}}}); err != nil {
		return nil, h.fail(err)
	}
	m, err := h.stream.Recv()
	if err != nil {
		if ctx.Err() != nil {
			h.drop()
			return nil, ctx.Err()
		}
		return nil, h.fail(err)
	}
	switch x := m.GetMessage().(type) {
	case *pb.HolderTask_Keys:
		return keyholder.KeysWanted{Run: x.Keys.GetRun(), First: x.Keys.GetFirst(), Count: int(x.Keys.GetCount())}, nil
	case *pb.HolderTask_Proposal:
		return h.proposal(ctx, x.Proposal)
	case *pb.HolderTask_Signature:
		set, err := digest(x.Signature.GetSetSha256())
		if err != nil {
			return nil, h.fail(err)
		}
		return keyholder.SignatureWanted{Run: x.Signature.GetRun(), Round: x.Signature.GetRound(), Set: set}, nil
	case *pb.HolderTask_Certificate:
		set, err := digest(x.Certificate.GetSetSha256())
		if err != nil {
			return nil, h.fail(err)
		}
		c := keyholder.Certificate{Run: x.Certificate.GetRun(), Round: x.Certificate.GetRound(), Set: set}
		for _, b := range x.Certificate.GetSignatures() {
			s, err := keyshare.ParseSetSignature(b)
			if err != nil {
				return nil, h.fail(err)
			}
			c.Signatures = append(c.Signatures, *s)
		}
		return c, nil
	case *pb.HolderTask_Closure:
		return keyholder.ClosureWanted{Run: x.Closure.GetRun(), Round: x.Closure.GetRound()}, nil
	}
	return nil, h.fail(errors.New("the server sent no task that this client knows"))
}

// proposal reads the headers of a set. The sealed shares follow them on the stream and
// are read as they are opened, one at a time.
func (h *Holder) proposal(ctx context.Context, p *pb.Proposal) (keyholder.Task, error) {
	a, err := keyshare.ParseAnnouncement(p.GetAnnouncement())
	if err != nil {
		return nil, h.fail(err)
	}
	total := 0
	for _, n := range p.GetGroups() {
		if total += int(n); total > keyshare.MaxUploads {
			return nil, h.fail(fmt.Errorf("proposal of more than %d uploads", keyshare.MaxUploads))
		}
	}
	var groups [][]keyshare.Header
	for _, n := range p.GetGroups() {
		var g []keyshare.Header
		for range n {
			u, err := h.upload()
			if err != nil {
				return nil, err
			}
			header, err := keyshare.ParseHeader(u.GetHeader())
			if err != nil {
				return nil, h.fail(err)
			}
			g = append(g, *header)
		}
		groups = append(groups, g)
	}
	h.boxes = total
	return keyholder.Proposal{Set: &keyshare.Set{Announcement: *a, Groups: groups}, Contract: p.GetContract(), Boxes: h.shares(ctx)}, nil
}

// upload receives the next part of an upload.
func (h *Holder) upload() (*pb.ProposedUpload, error) {
	m, err := h.stream.Recv()
	if err != nil {
		return nil, h.fail(err)
	}
	u := m.GetUpload()
	if u == nil {
		return nil, h.fail(errors.New("a proposal ends before its uploads"))
	}
	return u, nil
}

// shares receives the sealed shares of a proposal that are still to come.
func (h *Holder) shares(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if h.stream == nil {
			return
		}
		stop := context.AfterFunc(ctx, h.cancel)
		defer stop()
		for h.boxes > 0 {
			u, err := h.upload()
			if err != nil {
				yield(nil, err)
				return
			}
			h.boxes--
			if !yield(u.GetBox(), nil) {
				return
			}
		}
	}
}

func digest(b []byte) (statement.Digest, error) {
	if len(b) != len(statement.Digest{}) {
		return statement.Digest{}, fmt.Errorf("hash of %d bytes, want %d", len(b), len(statement.Digest{}))
	}
	return statement.Digest(b), nil
}

// answer sends one message on the live stream. An answer whose stream broke is
// lost: the server asks again.
func (h *Holder) answer(m *pb.HolderMessage) error {
	if h.stream == nil {
		return nil
	}
	if err := h.stream.Send(m); err != nil {
		return h.fail(err)
	}
	return nil
}

// PublishKeys implements keyholder.Server.
func (h *Holder) PublishKeys(_ context.Context, keys []keyshare.RoundKey) error {
	m := &pb.RoundKeys{}
	for i := range keys {
		m.Key = append(m.Key, keys[i].Bytes())
	}
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Keys{Keys: m}})
}

// Verdict implements keyholder.Server. A verdict that needed no look at the shares
// leaves them on the stream; they are received and dropped.
func (h *Holder) Verdict(ctx context.Context, v keyshare.Verdict) error {
	for _, err := range h.shares(ctx) {
		if err != nil {
			return err
		}
	}
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Verdict{Verdict: v.Bytes()}})
}

// Signature implements keyholder.Server.
func (h *Holder) Signature(_ context.Context, s keyshare.SetSignature) error {
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Signature{Signature: s.Bytes()}})
}

// Answer implements keyholder.Server.
func (h *Holder) Answer(_ context.Context, a *keyshare.Answer) error {
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Answer{Answer: a.Bytes(h.ring)}})
}

// Closure implements keyholder.Server.
func (h *Holder) Closure(_ context.Context, c keyshare.Closure) error {
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Closure{Closure: c.Bytes()}})
}

// Decline implements keyholder.Server.
func (h *Holder) Decline(_ context.Context, reason error) error {
	text := reason.Error()
	return h.answer(&pb.HolderMessage{Message: &pb.HolderMessage_Declined{Declined: text[:min(len(text), 512)]}})
}
