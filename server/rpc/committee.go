package rpc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/isolate"
)

// Holders is what this package needs of a coordinator for key holders.
type Holders interface {
	// AttachHolder makes the member with that name and key present; coordinator.ErrNoCommittee while there
	// is no run that is encrypted to it.
	AttachHolder(name string, key statement.Key) (*coordinator.HolderSession, error)
}

// holding serves the Committee service.
type holding struct {
	pb.UnimplementedCommitteeServer
	book    *committee.Book
	holders Holders
	guard   *guard
}

func (h *holding) Register(ctx context.Context, r *pb.RegisterRequest) (*pb.RegisterResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	if len(r.GetSigningKey()) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("signing key of %d bytes: %w", len(r.GetSigningKey()), errMalformed)
	}
	if err := h.book.Register(ctx, caller(ctx), statement.Key(r.GetSigningKey())); err != nil {
		return nil, err
	}
	return &pb.RegisterResponse{}, nil
}

func (h *holding) Record(ctx context.Context, r *pb.RecordRequest) (*pb.RecordResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	record, signatures, err := h.book.Record(ctx)
	if err != nil {
		return nil, err
	}
	answer := &pb.RecordResponse{Record: record.Bytes()}
	for i := range record.Members {
		var b []byte
		if s, ok := signatures[i+1]; ok {
			b = s[:]
		}
		answer.Signatures = append(answer.Signatures, b)
	}
	return answer, nil
}

func (h *holding) Approve(ctx context.Context, r *pb.ApproveRequest) (*pb.ApproveResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	if len(r.GetRecordSha256()) != 32 || len(r.GetSignature()) != ed25519.SignatureSize {
		return nil, fmt.Errorf("hash of %d bytes and signature of %d: %w", len(r.GetRecordSha256()), len(r.GetSignature()), errMalformed)
	}
	if err := h.book.Sign(ctx, caller(ctx), statement.Digest(r.GetRecordSha256()), statement.Signature(r.GetSignature())); err != nil {
		return nil, err
	}
	zerolog.Ctx(ctx).Info().Str("member", caller(ctx)).Msg("committee record signed")
	return &pb.ApproveResponse{}, nil
}

// Hold pairs each Ready with one task.
func (h *holding) Hold(stream grpc.BidiStreamingServer[pb.HolderMessage, pb.HolderTask]) error {
	ctx := stream.Context()
	m, err := stream.Recv()
	if err != nil {
		return ended(err)
	}
	hello := m.GetHello()
	if hello == nil || len(hello.GetSigningKey()) != ed25519.PublicKeySize {
		return fmt.Errorf("the first message of Hold is not Hello with a key: %w", errMalformed)
	}
	if err := checkVersion(hello.GetProtocolVersion()); err != nil {
		return err
	}
	session, err := h.attach(ctx, statement.Key(hello.GetSigningKey()))
	if err != nil {
		return err
	}
	defer session.Close()
	log := zerolog.Ctx(ctx)
	log.Info().Str("member", caller(ctx)).Msg("key holder connected")
	defer func() { log.Info().Str("member", caller(ctx)).Msg("key holder disconnected") }()
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	if err := stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Welcome{Welcome: &pb.HolderWelcome{Run: session.Run(), Head: session.Head()}}}); err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		if m.GetReady() == nil {
			if err := take(session, m); err != nil {
				return err
			}
			continue
		}
		task, err := session.Next(ctx)
		if err != nil {
			return err
		}
		if _, err := h.guard.admit(ctx); err != nil {
			return err
		}
		if err := send(stream, task); err != nil {
			return err
		}
	}
}

// attach waits for the run to begin: holders come before it does.
func (h *holding) attach(ctx context.Context, key statement.Key) (*coordinator.HolderSession, error) {
	for {
		s, err := h.holders.AttachHolder(caller(ctx), key)
		if !errors.Is(err, coordinator.ErrNoCommittee) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func send(stream grpc.BidiStreamingServer[pb.HolderMessage, pb.HolderTask], t coordinator.HolderTask) error {
	switch {
	case t.Publish != nil:
		return stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Keys{Keys: &pb.KeysWanted{Run: t.Publish.Run, First: t.Publish.First, Count: uint32(t.Publish.Count)}}})
	case t.Sign != nil:
		return stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Signature{Signature: &pb.SignatureWanted{Run: t.Sign.Run, Round: t.Sign.Round, SetSha256: t.Sign.Set[:]}}})
	case t.Close != nil:
		return stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Closure{Closure: &pb.ClosureWanted{Run: t.Close.Run, Round: t.Close.Round}}})
	case t.Open != nil:
		c := &pb.Certificate{Run: t.Open.Run, Round: t.Open.Round, SetSha256: t.Open.Set[:]}
		for i := range t.Open.Signatures {
			c.Signatures = append(c.Signatures, t.Open.Signatures[i].Bytes())
		}
		return stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Certificate{Certificate: c}})
	}
	set := t.Propose.Set
	p := &pb.Proposal{Announcement: set.Announcement.Bytes(), Contract: t.Propose.Terms}
	for _, g := range set.Groups {
		p.Groups = append(p.Groups, uint32(len(g)))
	}
	if err := stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Proposal{Proposal: p}}); err != nil {
		return err
	}
	send := func(u *pb.ProposedUpload) error {
		return stream.Send(&pb.HolderTask{Message: &pb.HolderTask_Upload{Upload: u}})
	}
	// All headers come before the first share: a holder checks the set and then opens
	// share after share, without keeping them.
	for _, g := range set.Groups {
		for j := range g {
			if err := send(&pb.ProposedUpload{Header: g[j].Bytes()}); err != nil {
				return err
			}
		}
	}
	sent := 0
	for box, err := range t.Propose.Boxes {
		if err != nil {
			return fmt.Errorf("read sealed share %d of a set: %w", sent+1, err)
		}
		if err := send(&pb.ProposedUpload{Box: box}); err != nil {
			return err
		}
		sent++
	}
	if sent != set.Clients() {
		return fmt.Errorf("%d sealed shares of a set of %d clients", sent, set.Clients())
	}
	return nil
}

// take hands one answer to the coordinator. What does not parse ends the stream.
func take(s *coordinator.HolderSession, m *pb.HolderMessage) error {
	bad := func(err error) error { return fmt.Errorf("%w: %w", errMalformed, err) }
	switch x := m.GetMessage().(type) {
	case *pb.HolderMessage_Keys:
		keys := make([]keyshare.RoundKey, 0, len(x.Keys.GetKey()))
		for _, b := range x.Keys.GetKey() {
			k, err := keyshare.ParseRoundKey(b)
			if err != nil {
				return bad(err)
			}
			keys = append(keys, *k)
		}
		return s.Publish(keys)
	case *pb.HolderMessage_Verdict:
		v, err := keyshare.ParseVerdict(x.Verdict)
		if err != nil {
			return bad(err)
		}
		return s.Verdict(v)
	case *pb.HolderMessage_Signature:
		g, err := keyshare.ParseSetSignature(x.Signature)
		if err != nil {
			return bad(err)
		}
		return s.Signature(g)
	case *pb.HolderMessage_Answer:
		a, err := keyshare.ParseAnswer(s.Ring(), isolate.MaxGroups, x.Answer)
		if err != nil {
			return bad(err)
		}
		return s.Answer(a)
	case *pb.HolderMessage_Closure:
		c, err := keyshare.ParseClosure(x.Closure)
		if err != nil {
			return bad(err)
		}
		return s.Closure(c)
	case *pb.HolderMessage_Declined:
		return s.Decline(x.Declined[:min(len(x.Declined), 512)])
	}
	return fmt.Errorf("a message of Hold that is none: %w", errMalformed)
}
