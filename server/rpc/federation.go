package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy/ledger"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/coordinator"
)

type federation struct {
	pb.UnimplementedFederationServer
	run       Run
	guard     *guard
	stall     time.Duration
	receivers *receivers
}

func (f *federation) Attend(stream grpc.BidiStreamingServer[pb.AttendRequest, pb.Order]) error {
	ctx := stream.Context()
	m, err := stream.Recv()
	if err != nil {
		return ended(err)
	}
	hello := m.GetHello()
	if hello == nil {
		return fmt.Errorf("the first message of Attend is not Hello: %w", errMalformed)
	}
	if err := checkVersion(hello.GetProtocolVersion()); err != nil {
		return err
	}
	if hello.GetExamples() > math.MaxInt32 {
		return fmt.Errorf("%d examples declared: %w", hello.GetExamples(), errMalformed)
	}
	session, err := f.run.Attach(coordinator.Info{Client: caller(ctx), Examples: int(hello.GetExamples())})
	if err != nil {
		return err
	}
	defer session.Close()
	log := zerolog.Ctx(ctx)
	log.Info().Str("client", caller(ctx)).Msg("client connected")
	defer func() { log.Info().Str("client", caller(ctx)).Msg("client disconnected") }()
	if err := stream.SendHeader(metadata.Pairs(pb.OfferHeader, wants(session.Discloses()))); err != nil { // tells the client that it is present
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		ready := m.GetReady()
		if ready == nil {
			return fmt.Errorf("a message of Attend after the first is not Ready: %w", errMalformed)
		}
		offer, spent, err := declared(ready)
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		if err := session.Declare(offer, spent); err != nil {
			return err
		}
		order, err := session.Next(ctx)
		if err != nil {
			return err
		}
		// Hours may have passed since the client was admitted.
		if _, err := f.guard.admit(ctx); err != nil {
			return err
		}
		if err := stream.Send(orderMessage(order)); err != nil {
			return err
		}
	}
}

// wants is how much clients may tell, on the wire.
func wants(d costcurve.Disclosure) string {
	switch d {
	case costcurve.TellCurve:
		return pb.OfferCurve
	case costcurve.TellDevice:
		return pb.OfferDevice
	}
	return pb.OfferNone
}

// ended hides the normal end of a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func orderMessage(o coordinator.Order) *pb.Order {
	m := &pb.Order{
		Run: o.Run, Round: uint32(o.Round), Attempt: uint32(o.Attempt),
		Task: o.Task, TaskSha256: o.TaskHash[:], ModelSha256: o.Model[:],
		Codec:  &pb.Codec{Bits: uint32(o.Codec.Bits), Range: o.Codec.Range},
		Epochs: o.Epochs, LearningRate: o.LR, ClipNorm: o.Clip, Weight: o.Weight,
		Deadline: durationpb.New(o.Deadline),
	}
	if o.Settled > 0 {
		m.SettledAgo = durationpb.New(o.Settled)
	}
	if p := o.Plan; p != (costcurve.Order{}) || o.Posted != nil {
		m.Work = &pb.Work{
			Steps: uint64(p.Tasks), Reference: uint64(o.Reference), Mode: p.Mode, SwitchTo: p.SwitchTo,
			SwitchAfter: durationpb.New(p.SwitchAfter), StartAfter: durationpb.New(p.StartAt),
		}
		if p := o.Posted; p != nil {
			m.Work.Posted = &pb.Posted{Price: p.Price.Lambda, Fairness: p.Price.Theta, LeastSteps: uint64(p.Min), MostSteps: uint64(p.Max), Window: durationpb.New(p.Window)}
		}
	}
	if s := o.Sealing; s != nil {
		m.Sealing = &pb.Sealing{Announcement: s.Announcement, Terms: s.Terms, Record: s.Record, Keys: s.Keys, Work: s.Work}
	}
	return m
}

// Ledger shows the ledger as it stands in the open round.
func (f *federation) Ledger(_ context.Context, r *pb.LedgerRequest) (*pb.LedgerResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	if r.GetSeen() > math.MaxInt64 {
		return nil, fmt.Errorf("%d records of the ledger seen: %w", r.GetSeen(), errMalformed)
	}
	s, err := f.run.Show(int64(r.GetSeen()), r.GetPlan())
	if err != nil {
		return nil, err
	}
	m := &pb.LedgerResponse{Key: s.Key, Checkpoint: []byte(s.Checkpoint), Consistency: proofMessage(s.Consistency), Reservation: leafMessage(s.Reservation)}
	for _, c := range s.Closed {
		m.Closed = append(m.Closed, []byte(c))
	}
	if r.GetPlan() {
		m.Plan = leafMessage(s.Plan)
	}
	return m, nil
}

func leafMessage(l ledger.Leaf) *pb.LedgerRecord {
	return &pb.LedgerRecord{Record: []byte(l.Record), Proof: proofMessage(l.Proof)}
}

func proofMessage(proof []ledger.Hash) [][]byte {
	out := make([][]byte, len(proof))
	for i := range proof {
		out[i] = proof[i][:]
	}
	return out
}

func (f *federation) Model(r *pb.ModelRequest, stream grpc.ServerStreamingServer[pb.ModelResponse]) error {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return err
	}
	hash, err := hash32("model_sha256", r.GetModelSha256())
	if err != nil {
		return err
	}
	params, err := f.run.Model(hash)
	if err != nil {
		return err
	}
	header := &pb.ModelHeader{Parameters: uint64(len(params))}
	if err := stream.Send(&pb.ModelResponse{Message: &pb.ModelResponse_Header{Header: header}}); err != nil {
		return err
	}
	for len(params) > 0 {
		n := min(len(params), pb.MaxChunk/4)
		chunk := make([]byte, 0, 4*n) // gRPC may still read the previous one
		for _, v := range params[:n] {
			chunk = binary.LittleEndian.AppendUint32(chunk, math.Float32bits(v))
		}
		params = params[n:]
		if err := stream.Send(&pb.ModelResponse{Message: &pb.ModelResponse_Chunk{Chunk: chunk}}); err != nil {
			return err
		}
	}
	return nil
}
