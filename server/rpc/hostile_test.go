package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/client/participant"
	client "github.com/sotto-fl/sotto/client/rpc"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// raw connects without the client's own care.
func (s *site) raw(t *testing.T, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if config != nil {
		config.RootCAs = x509.NewCertPool()
		ca, err := x509.ParseCertificate(s.authority.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		config.RootCAs.AddCert(ca)
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// calls makes every call that needs a certificate and returns what came of each.
func calls(ctx context.Context, conn *grpc.ClientConn) map[string]error {
	errs := map[string]error{}
	_, errs["renew"] = pb.NewEnrolmentClient(conn).Renew(ctx, &pb.RenewRequest{ProtocolVersion: pb.Version})
	f := pb.NewFederationClient(conn)
	if s, err := f.Attend(ctx); err == nil {
		s.Send(&pb.AttendRequest{Message: &pb.AttendRequest_Hello{Hello: &pb.Hello{ProtocolVersion: pb.Version, Examples: 1}}})
		_, errs["attend"] = s.Recv()
	} else {
		errs["attend"] = err
	}
	if s, err := f.Model(ctx, &pb.ModelRequest{ProtocolVersion: pb.Version, ModelSha256: make([]byte, 32)}); err == nil {
		_, errs["model"] = s.Recv()
	} else {
		errs["model"] = err
	}
	if s, err := f.Report(ctx); err == nil {
		s.Send(header(4))
		_, errs["report"] = s.CloseAndRecv()
	} else {
		errs["report"] = err
	}
	return errs
}

func header(size uint64) *pb.ReportRequest {
	return &pb.ReportRequest{Message: &pb.ReportRequest_Header{Header: &pb.ReportHeader{
		ProtocolVersion: pb.Version, Run: "r", Round: 1, Attempt: 1, ModelSha256: make([]byte, 32), TaskSha256: make([]byte, 32), BodyBytes: size,
	}}}
}

func chunk(n int) *pb.ReportRequest {
	return &pb.ReportRequest{Message: &pb.ReportRequest_Chunk{Chunk: make([]byte, n)}}
}

func TestNoCertificateOnlyJoins(t *testing.T) {
	s := newSite(t, Config{})
	s.run.params = make([]float32, 1)
	conn := s.raw(t, &tls.Config{})
	for call, err := range calls(t.Context(), conn) {
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: got %v, want Unauthenticated", call, err)
		}
	}
	// Join answers: with a refusal of this invitation.
	_, err := pb.NewEnrolmentClient(conn).Join(t.Context(), &pb.JoinRequest{ProtocolVersion: pb.Version, Secret: make([]byte, 16)})
	if status.Code(err) != codes.InvalidArgument { // there is no certificate request
		t.Errorf("join: %v", err)
	}
	if len(s.run.events) > 0 {
		t.Errorf("the run saw %q", <-s.run.events)
	}
}

func TestCertificateOfAnotherAuthority(t *testing.T) {
	s, other := newSite(t, Config{}), newSite(t, Config{})
	id := mustLoad(t, other.member(t, "a"))
	for call, err := range calls(t.Context(), s.raw(t, id.TLS())) {
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: answered", call)
		}
	}
	if len(s.run.events) > 0 {
		t.Errorf("the run saw %q", <-s.run.events)
	}
}

func TestOldTLSAndPlaintextAreRefused(t *testing.T) {
	s := newSite(t, Config{})
	for name, config := range map[string]*tls.Config{"plaintext": nil, "TLS 1.2": {MaxVersion: tls.VersionTLS12}} {
		_, err := pb.NewEnrolmentClient(s.raw(t, config)).Join(t.Context(), &pb.JoinRequest{ProtocolVersion: pb.Version})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, want no connection", name, err)
		}
	}
}

// A claim of 2^60 bytes, or of one byte too many, takes no memory and reaches no
// state.
func TestOversizeReportIsRefusedBeforeAllocation(t *testing.T) {
	s := newSite(t, Config{})
	s.run.size = 64 << 20
	f := pb.NewFederationClient(s.raw(t, mustLoad(t, s.member(t, "a")).TLS()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, size := range []uint64{1 << 60, uint64(s.run.size) + 1, uint64(s.run.size) - 1, 0} {
		stream, err := f.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(header(size)); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("refusing took %d bytes of memory, a report has %d", got, s.run.size)
	}
	if len(s.run.accepted()) != 0 {
		t.Error("accepted")
	}
}

// Uploads that break the protocol leave the run untouched and give their buffer
// back: afterwards a whole report of the same client goes through the only one.
func TestBrokenUploadsLeaveNoTrace(t *testing.T) {
	s := newSite(t, Config{Receivers: 1, Stall: 200 * time.Millisecond})
	dir := s.member(t, "a")
	f := pb.NewFederationClient(s.raw(t, mustLoad(t, dir).TLS()))
	size := s.run.size
	rest := size % pb.MaxChunk
	for _, tc := range []struct {
		name     string
		messages []*pb.ReportRequest
		hang     bool // neither more chunks nor an end
		want     codes.Code
	}{
		{"nothing", nil, false, codes.InvalidArgument},
		{"no header", []*pb.ReportRequest{chunk(10)}, false, codes.InvalidArgument},
		{"empty message", []*pb.ReportRequest{{}}, false, codes.InvalidArgument},
		{"truncated", []*pb.ReportRequest{header(uint64(size)), chunk(pb.MaxChunk)}, false, codes.InvalidArgument},
		{"small chunks", []*pb.ReportRequest{header(uint64(size)), chunk(1)}, false, codes.InvalidArgument},
		{"second header", []*pb.ReportRequest{header(uint64(size)), header(uint64(size))}, false, codes.InvalidArgument},
		{"too long", []*pb.ReportRequest{header(uint64(size)), chunk(pb.MaxChunk), chunk(pb.MaxChunk), chunk(rest), chunk(1)}, false, codes.InvalidArgument},
		{"huge message", []*pb.ReportRequest{header(uint64(size)), chunk(3 * pb.MaxChunk)}, false, codes.ResourceExhausted},
		{"stalled", []*pb.ReportRequest{header(uint64(size)), chunk(pb.MaxChunk)}, true, codes.ResourceExhausted},
		{"stalled before its header", nil, true, codes.ResourceExhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stream, err := f.Report(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range tc.messages {
				if stream.Send(m) != nil {
					break // refused already
				}
			}
			if tc.hang {
				err = stream.RecvMsg(new(pb.Receipt))
			} else {
				_, err = stream.CloseAndRecv()
			}
			if status.Code(err) != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	if len(s.run.accepted()) != 0 {
		t.Fatal("a broken upload was accepted")
	}
	c := connect(t, dir)
	if err := c.Report(t.Context(), participant.Report{Run: "r", Round: 1, Attempt: 1, Body: make([]byte, size)}); err != nil {
		t.Errorf("a whole report afterwards: %v", err)
	}
}

// The client vanishes in the middle of its upload.
func TestVanishedUpload(t *testing.T) {
	s := newSite(t, Config{Receivers: 1})
	dir := s.member(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := pb.NewFederationClient(s.raw(t, mustLoad(t, dir).TLS())).Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream.Send(header(uint64(s.run.size)))
	stream.Send(chunk(pb.MaxChunk))
	cancel()
	c := connect(t, dir)
	for range 100 { // until the server has noticed
		if err = c.Report(t.Context(), participant.Report{Body: make([]byte, s.run.size)}); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || len(s.run.accepted()) != 1 {
		t.Errorf("got %d reports, %v", len(s.run.accepted()), err)
	}
}

// The memory of uploads is bounded: who comes while all buffers are taken is
// asked to come again.
func TestReceiveBuffersAreBounded(t *testing.T) {
	s := newSite(t, Config{Receivers: 2, Stall: time.Minute})
	size := uint64(s.run.size)
	var held []grpc.ClientStreamingClient[pb.ReportRequest, pb.Receipt]
	for _, name := range []string{"a", "b"} {
		stream, err := pb.NewFederationClient(s.raw(t, mustLoad(t, s.member(t, name)).TLS())).Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stream.Send(header(size))
		stream.Send(chunk(pb.MaxChunk))
		held = append(held, stream)
	}
	c := connect(t, s.member(t, "c"))
	report := participant.Report{Body: make([]byte, size)}
	var err error
	for range 500 { // the two above may not have been seen yet
		if err = c.Report(t.Context(), report); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !errors.Is(err, client.ErrBusy) {
		t.Fatalf("got %v, want busy", err)
	}
	// That it has no room the server says before any of the body is sent.
	waiting, err := pb.NewFederationClient(s.raw(t, mustLoad(t, s.member(t, "d")).TLS())).Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting.Send(header(size))
	if room, err := waiting.Header(); err != nil || room != nil {
		t.Errorf("without room: headers %v, %v; want none", room, err)
	}
	if _, err := waiting.CloseAndRecv(); status.Code(err) != codes.Unavailable && status.Code(err) != codes.ResourceExhausted {
		t.Errorf("without room: %v", err)
	}
	for _, stream := range held {
		if room, err := stream.Header(); err != nil || room == nil {
			t.Errorf("with room: no headers, %v", err)
		}
		stream.Send(chunk(pb.MaxChunk))
		stream.Send(chunk(s.run.size - 2*pb.MaxChunk))
		if _, err := stream.CloseAndRecv(); err != nil {
			t.Errorf("held upload: %v", err)
		}
	}
	if err := c.Report(t.Context(), report); err != nil {
		t.Errorf("with free buffers: %v", err)
	}
}

func TestWrongVersionAndNonsense(t *testing.T) {
	s := newSite(t, Config{})
	ctx := t.Context()
	conn := s.raw(t, mustLoad(t, s.member(t, "a")).TLS())
	f := pb.NewFederationClient(conn)
	hello := func(h *pb.AttendRequest) error {
		stream, err := f.Attend(ctx)
		if err != nil {
			return err
		}
		stream.Send(h)
		_, err = stream.Recv()
		return err
	}
	model := func(r *pb.ModelRequest) error {
		stream, err := f.Model(ctx, r)
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	old := header(10)
	old.GetHeader().ProtocolVersion = 2
	report, err := f.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report.Send(old)
	_, reported := report.CloseAndRecv()
	_, joined := pb.NewEnrolmentClient(conn).Join(ctx, &pb.JoinRequest{})
	_, renewed := pb.NewEnrolmentClient(conn).Renew(ctx, &pb.RenewRequest{ProtocolVersion: 9})
	for name, tc := range map[string]struct {
		err  error
		want codes.Code
	}{
		"hello version":  {hello(&pb.AttendRequest{Message: &pb.AttendRequest_Hello{Hello: &pb.Hello{ProtocolVersion: 2}}}), codes.FailedPrecondition},
		"model version":  {model(&pb.ModelRequest{ModelSha256: make([]byte, 32)}), codes.FailedPrecondition},
		"report version": {reported, codes.FailedPrecondition},
		"join version":   {joined, codes.FailedPrecondition},
		"renew version":  {renewed, codes.FailedPrecondition},
		"ready first":    {hello(&pb.AttendRequest{Message: &pb.AttendRequest_Ready{Ready: &pb.Ready{}}}), codes.InvalidArgument},
		"empty first":    {hello(&pb.AttendRequest{}), codes.InvalidArgument},
		"examples":       {hello(&pb.AttendRequest{Message: &pb.AttendRequest_Hello{Hello: &pb.Hello{ProtocolVersion: 1, Examples: 1 << 63}}}), codes.InvalidArgument},
		"short hash":     {model(&pb.ModelRequest{ProtocolVersion: 1, ModelSha256: make([]byte, 31)}), codes.InvalidArgument},
		"unknown model":  {model(&pb.ModelRequest{ProtocolVersion: 1, ModelSha256: make([]byte, 32)}), codes.Aborted},
	} {
		if status.Code(tc.err) != tc.want {
			t.Errorf("%s: got %v, want %v", name, tc.err, tc.want)
		}
	}
}

// panicking stands for a bug that one client's call brings out.
type panicking struct{ *fakeRun }

func (panicking) Hasher() *terms.Hasher { return nil }

func (panicking) BodySize() int { panic("secret value") }

func TestPanicIsOneCallsError(t *testing.T) {
	run := newFakeRun()
	s := serve(t, panicking{run}, Config{})
	c := connect(t, s.member(t, "a"))
	err := c.Report(t.Context(), participant.Report{Body: make([]byte, 10)})
	if err == nil {
		t.Fatal("no error")
	}
	run.orders <- order
	if _, err := c.CheckIn(t.Context(), participant.Info{Examples: 1}); err != nil {
		t.Errorf("the server does not live on: %v", err)
	}
}
