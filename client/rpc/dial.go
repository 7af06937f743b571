package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sotto-fl/sotto/client/participant"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// maxMessage holds a chunk or an order; an order carries the task.
const maxMessage = 2 << 20

// connection is one gRPC channel to the server and what its handshakes found.
type connection struct {
	*grpc.ClientConn
	untrusted *atomic.Pointer[error]
}

// dial makes a channel; it connects at the first call. options are for tests.
func dial(address string, config *tls.Config, options ...grpc.DialOption) (*connection, error) {
	creds := &verified{TransportCredentials: credentials.NewTLS(config), untrusted: new(atomic.Pointer[error])}
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 15 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			// The participant backs off too; gRPC's own two minutes would come on top.
			Backoff:           backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent(fmt.Sprintf("sotto/%d", pb.Version)),
	}, options...)
	cc, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", address, err)
	}
	return &connection{ClientConn: cc, untrusted: creds.untrusted}, nil
}

// outcome is the package's outcome, except that a server that cannot be trusted
// is a refusal: trying again will not make it another server.
func (c *connection) outcome(err error) error {
	if err == nil {
		return nil
	}
	if p := c.untrusted.Load(); p != nil {
		return fmt.Errorf("%w: the server at %s is not the one joined: %w", participant.ErrRefused, c.Target(), *p)
	}
	return outcome(err)
}

// reach connects and says why not.
func (c *connection) reach(ctx context.Context) error {
	for {
		c.Connect()
		switch state := c.GetState(); state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure:
			// The channel does not keep its error; a call has it.
			var answer pb.RenewResponse
			return c.outcome(c.Invoke(ctx, pb.Enrolment_Renew_FullMethodName, &pb.RenewRequest{}, &answer))
		default:
			if !c.WaitForStateChange(ctx, state) {
				return fmt.Errorf("connect to %s: %w", c.Target(), ctx.Err())
			}
		}
	}
}

// verified remembers a handshake that failed because of the server's
// certificate; gRPC itself keeps only the text of it.
type verified struct {
	credentials.TransportCredentials
	untrusted *atomic.Pointer[error]
}

func (v *verified) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := v.TransportCredentials.ClientHandshake(ctx, authority, conn)
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		// An expired certificate or a clock that is off may come right again.
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) {
			v.untrusted.Store(&err)
		}
	} else if err == nil {
		v.untrusted.Store(nil)
	}
	return c, info, err
}

func (v *verified) Clone() credentials.TransportCredentials {
	return &verified{TransportCredentials: v.TransportCredentials.Clone(), untrusted: v.untrusted}
}
