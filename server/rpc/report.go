package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// Report receives one update. Until the last byte is in, and its announced size
// was right, the coordinator sees nothing of it.
func (f *federation) Report(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.Receipt]) error {
	ctx, client := stream.Context(), caller(stream.Context())
	in := receive(ctx, stream, f.stall)
	m, err := in.next()
	if err != nil {
		return early(err)
	}
	r, size, err := reportHeader(m.GetHeader())
	if err != nil {
		return err
	}
	want := f.run.BodySize()
	if size != uint64(want) {
		// Without a body the coordinator can still tell a report for another round,
		// which is nobody's fault, from a wrong one, which it counts.
		err := fmt.Errorf("a body of %d bytes is announced, want %d: %w", size, want, errMalformed)
		if _, e := f.run.Report(ctx, client, r); e != nil {
			return fmt.Errorf("%w (%w)", e, err)
		}
		return err
	}
	buffer, err := f.receivers.take(client, want)
	if err != nil {
		return err
	}
	defer f.receivers.give(client, buffer)
	if err := stream.SendHeader(metadata.MD{}); err != nil { // there is room: go ahead
		return err
	}
	in.ahead()
	hasher := f.run.Hasher()
	for body := buffer; len(body) > 0; {
		m, err := in.next()
		if err != nil {
			return early(err)
		}
		// Full chunks only: a client cannot hold a buffer by sending byte after byte.
		chunk := m.GetChunk()
		if len(chunk) != min(len(body), pb.MaxChunk) {
			return fmt.Errorf("a chunk of %d bytes with %d to come, want %d: %w", len(chunk), len(body), min(len(body), pb.MaxChunk), errMalformed)
		}
		body = body[copy(body, chunk):]
		if hasher != nil {
			hasher.Write(chunk) // here, while the next chunk is under way
		}
	}
	if _, err := in.next(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("a message follows the last chunk: %w", errMalformed)
		}
		return err
	}
	r.Body = buffer
	if hasher != nil {
		if h, ok := hasher.Hashes(); ok {
			r.Hashes = &h
		}
	}
	receipt, err := f.run.Report(ctx, client, r)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Str("client", client).Int("round", r.Round).Msg("report refused")
		return err
	}
	return stream.SendAndClose(&pb.Receipt{Repeated: receipt.Repeated})
}

func reportHeader(h *pb.ReportHeader) (coordinator.Report, uint64, error) {
	if h == nil {
		return coordinator.Report{}, 0, fmt.Errorf("the first message of Report is not its header: %w", errMalformed)
	}
	if err := checkVersion(h.GetProtocolVersion()); err != nil {
		return coordinator.Report{}, 0, err
	}
	if h.GetRound() > math.MaxInt32 || h.GetAttempt() > math.MaxInt32 {
		return coordinator.Report{}, 0, fmt.Errorf("round %d, attempt %d: %w", h.GetRound(), h.GetAttempt(), errMalformed)
	}
	model, err := hash32("model_sha256", h.GetModelSha256())
	if err != nil {
		return coordinator.Report{}, 0, err
	}
	task, err := hash32("task_sha256", h.GetTaskSha256())
	if err != nil {
		return coordinator.Report{}, 0, err
	}
	return coordinator.Report{
		Run: h.GetRun(), Round: int(h.GetRound()), Attempt: int(h.GetAttempt()), Model: model, TaskHash: task,
	}, h.GetBodyBytes(), nil
}

func early(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the upload ends too early: %w", errMalformed)
	}
	return err
}

// receivers bounds the memory of uploads: a fixed number of buffers, one upload
// a client at a time.
type receivers struct {
	mu    sync.Mutex
	free  int
	spare [][]byte
	busy  map[string]bool
}

func newReceivers(n int) *receivers {
	return &receivers{free: n, busy: map[string]bool{}}
}

func (r *receivers) take(client string, size int) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[client] {
		return nil, fmt.Errorf("another upload of %s is under way: %w", client, errBusy)
	}
	if r.free == 0 {
		return nil, errBusy
	}
	r.free--
	r.busy[client] = true
	if n := len(r.spare); n > 0 && len(r.spare[n-1]) == size {
		b := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return b, nil
	}
	return make([]byte, size), nil
}

func (r *receivers) give(client string, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free++
	delete(r.busy, client)
	r.spare = append(r.spare, b)
}

var errStalled = fmt.Errorf("the upload stalled: %w", errBusy) // passing: try again

// incoming reads a stream with a limit on each wait. gRPC's Recv has none, so it
// runs in a goroutine that ends with the call. Behind the first message it reads
// nothing until it is told to: a chunk takes more than a megabyte while it is decoded,
// and most of many uploads that come at once are only told to come again.
type incoming struct {
	ctx      context.Context
	stall    time.Duration
	granted  chan struct{}
	messages chan *pb.ReportRequest
	err      error // set before messages is closed
}

// ahead lets it read, always one message ahead.
func (in *incoming) ahead() { close(in.granted) }

func receive(ctx context.Context, stream grpc.ClientStreamingServer[pb.ReportRequest, pb.Receipt], stall time.Duration) *incoming {
	in := &incoming{ctx: ctx, stall: stall, granted: make(chan struct{}), messages: make(chan *pb.ReportRequest)}
	go func() {
		defer close(in.messages)
		for {
			m, err := stream.Recv()
			if err != nil {
				in.err = err
				return
			}
			select {
			case in.messages <- m:
			case <-ctx.Done():
				in.err = ctx.Err()
				return
			}
			select {
			case <-in.granted:
			case <-ctx.Done():
				in.err = ctx.Err()
				return
			}
		}
	}()
	return in
}

func (in *incoming) next() (*pb.ReportRequest, error) {
	timer := time.NewTimer(in.stall)
	defer timer.Stop()
	select {
	case m, ok := <-in.messages:
		if !ok {
			return nil, in.err
		}
		return m, nil
	case <-timer.C:
		return nil, errStalled
	case <-in.ctx.Done():
		return nil, in.ctx.Err()
	}
}
