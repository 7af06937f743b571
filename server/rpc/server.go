package rpc

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/privacy/ledger"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/committee"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/server/identity"
)

// Run is what this package needs of a coordinator. See OfCoordinator.
type Run interface {
	Attach(coordinator.Info) (Session, error)
	Model(hash [32]byte) ([]float32, error)
	Report(ctx context.Context, client string, r coordinator.Report) (coordinator.Receipt, error)
	BodySize() int
	Hasher() *terms.Hasher // of one report; may be nil
	Show(seen int64, plan bool) (ledger.Shown, error)
}

// Session is one client's presence in a run.
type Session interface {
	Discloses() costcurve.Disclosure
	Declare(offer *energy.Offer, spent []coordinator.Spent) error
	Next(ctx context.Context) (coordinator.Order, error)
	Close()
}

// Config has the limits of a server. Zero values take the defaults.
type Config struct {
	Receivers int           // reports received at once, each with one buffer of a report's size; default 8
	Stall     time.Duration // longest wait for the next chunk of a report; default 30 s

	// Committee and Holders serve key holders; both nil without encryption.
	Committee *committee.Book
	Holders   Holders
}

// Server serves one run. Create it with New.
type Server struct {
	grpc *grpc.Server
}

const (
	// A dead peer is noticed after at most pingAfter + pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second

	// The largest message is a chunk with its framing.
	maxMessage = pb.MaxChunk + 16<<10

	// Streams of one connection: Attend, and a few calls beside it.
	maxStreams = 16
)

// New makes a server. log receives what clients are not told.
func New(a *identity.Authority, run Run, c Config, log zerolog.Logger) *Server {
	if c.Receivers <= 0 {
		c.Receivers = 8
	}
	if c.Stall <= 0 {
		c.Stall = 30 * time.Second
	}
	g := &guard{authority: a, log: log}
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(a.TLS())),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout, MaxConnectionIdle: 10 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(16<<10),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
	)
	pb.RegisterEnrolmentServer(s, &enrolment{authority: a})
	pb.RegisterFederationServer(s, &federation{run: run, guard: g, stall: c.Stall, receivers: newReceivers(c.Receivers)})
	if c.Committee != nil {
		pb.RegisterCommitteeServer(s, &holding{book: c.Committee, holders: c.Holders, guard: g})
	}
	return &Server{grpc: s}
}

// Serve answers connections from l until Shutdown. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Shutdown takes no new connections, lets open calls end by themselves until ctx
// is done, then cuts them off. After a finished run, clients that still train
// learn of it within that time.
func (s *Server) Shutdown(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

// guard stands before every call.
type guard struct {
	authority *identity.Authority
	log       zerolog.Logger
}

type clientKey struct{}

// caller is the name of the client whose call ctx belongs to.
func caller(ctx context.Context) string {
	name, _ := ctx.Value(clientKey{}).(string)
	return name
}

// open holds the calls that need no certificate.
var open = map[string]bool{pb.Enrolment_Join_FullMethodName: true}

// admit identifies the caller. On a long stream it is called again, since a
// certificate may have been revoked or have expired meanwhile.
func (g *guard) admit(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errNoCertificate
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return "", errNoCertificate
	}
	return g.authority.Check(ctx, info.State.VerifiedChains[0][0])
}

func (g *guard) enter(ctx context.Context, method string) (context.Context, error) {
	ctx = g.log.WithContext(ctx)
	if open[method] {
		return ctx, nil
	}
	name, err := g.admit(ctx)
	if err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, clientKey{}, name), nil
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	method := info.FullMethod
	defer func() { err = toStatus(ctx, method, err) }()
	defer g.recover(method, &err)
	if ctx, err = g.enter(ctx, method); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	method := info.FullMethod
	ctx := ss.Context()
	defer func() { err = toStatus(ctx, method, err) }()
	defer g.recover(method, &err)
	if ctx, err = g.enter(ctx, method); err != nil {
		return err
	}
	return next(srv, &namedStream{ServerStream: ss, ctx: ctx})
}

// recover turns a panic into the call's error: one client must not end the run
// of the others. The panic's text may hold data, so it goes no further than its
// type; the stack says where.
func (g *guard) recover(method string, err *error) {
	if p := recover(); p != nil {
		stack := string(debug.Stack())
		if i := strings.Index(stack, "panic("); i >= 0 {
			stack = stack[i:]
		}
		g.log.Error().Str("method", method).Str("panic", fmt.Sprintf("%T", p)).Str("stack", stack).Msg("call panicked")
		*err = fmt.Errorf("panic in %s", method)
	}
}

// namedStream carries the context with the caller's name.
type namedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *namedStream) Context() context.Context { return s.ctx }
