package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// Client is a member's connection to its server. It implements
// participant.Server for one participant: calls come one after another. Close it
// when done.
type Client struct {
	dir     string
	options []grpc.DialOption // tests

	id        *identity.Identity
	conn      *connection
	presence  *presence            // nil: not attended yet, or the last stream broke
	told      costcurve.Disclosure // since the last order
	nextRenew time.Time

	closing sync.Once
}

var _ participant.Server = (*Client)(nil)

// Dial prepares a connection with the identity stored in dir; it connects at the
// first call. The certificate is renewed by itself at check-in when less than a
// third of its life is left. It returns identity.ErrNotJoined and
// identity.ErrExpired.
func Dial(dir string) (*Client, error) { return newClient(dir) }

func newClient(dir string, options ...grpc.DialOption) (*Client, error) {
	id, err := identity.Load(dir)
	if err != nil {
		return nil, err
	}
	if err := id.Expired(time.Now()); err != nil {
		return nil, err
	}
	conn, err := dial(id.Address, id.TLS(), options...)
	if err != nil {
		return nil, err
	}
	return &Client{dir: dir, options: options, id: id, conn: conn}, nil
}

// Name is the client's name in its certificate.
func (c *Client) Name() string { return c.id.Name }

// Close ends the client's presence and its connection.
func (c *Client) Close() error {
	var err error
	c.closing.Do(func() {
		c.leave()
		err = c.conn.Close()
	})
	return err
}

func (c *Client) leave() {
	if c.presence != nil {
		c.presence.stop()
		c.presence = nil
	}
}

// CheckIn says that the client is ready and waits for an order. The client stays
// present afterwards, until the order's time is up, the stream is refused or the
// next check-in. When ctx ends, so does its presence.
func (c *Client) CheckIn(ctx context.Context, info participant.Info) (participant.Order, error) {
	if err := c.keepCertificate(ctx); err != nil {
		return participant.Order{}, err
	}
	if c.presence != nil {
		if live := c.presence.release(); live == nil || c.presence.info.Examples != info.Examples {
			c.leave()
		}
	}
	if c.presence == nil {
		c.presence = newPresence(c.conn, info)
	}
	m, told, err := c.presence.ask(ctx, info)
	c.told = max(c.told, told)
	if err != nil {
		c.leave()
		if ctx.Err() != nil {
			return participant.Order{}, ctx.Err()
		}
		return participant.Order{}, c.conn.outcome(err)
	}
	order, err := orderFrom(m)
	if err != nil {
		c.leave()
		return participant.Order{}, err
	}
	order.Told, c.told = c.told, 0
	c.presence.hold(order.Deadline)
	return order, nil
}

// Leave ends the client's presence until it checks in again.
func (c *Client) Leave() { c.leave() }

// keepCertificate renews when it is due, at most once an hour. Failing to is a
// warning until the certificate has expired.
func (c *Client) keepCertificate(ctx context.Context) error {
	now := time.Now()
	if c.id.RenewalDue(now) && now.After(c.nextRenew) && c.id.Expired(now) == nil {
		c.nextRenew = now.Add(time.Hour)
		short, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		log := zerolog.Ctx(ctx)
		fresh, err := renew(short, c.conn, c.id, c.dir)
		if err != nil {
			log.Warn().Err(err).Time("expires", c.id.NotAfter()).Msg("certificate not renewed")
		} else if conn, err := dial(fresh.Address, fresh.TLS(), c.options...); err != nil {
			return err
		} else {
			// The server judges a connection by the certificate it was made with.
			c.leave()
			c.conn.Close()
			c.id, c.conn = fresh, conn
			log.Info().Time("expires", fresh.NotAfter()).Msg("certificate renewed")
		}
	}
	if err := c.id.Expired(now); err != nil {
		return fmt.Errorf("%w: %w", participant.ErrRefused, err)
	}
	return nil
}

// Model fetches a model. Nothing is allocated before the server has announced
// exactly size parameters.
func (c *Client) Model(ctx context.Context, hash [32]byte, size int) ([]float32, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when the answer is wrong
	defer cancel()
	stream, err := pb.NewFederationClient(c.conn).Model(ctx, &pb.ModelRequest{ProtocolVersion: pb.Version, ModelSha256: hash[:]})
	if err != nil {
		return nil, c.conn.outcome(err)
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, c.conn.outcome(noEOF(err))
	}
	if h := m.GetHeader(); h == nil || h.GetParameters() != uint64(size) {
		return nil, fmt.Errorf("the server announces a model of %d parameters, want %d", h.GetParameters(), size)
	}
	params := make([]float32, 0, size)
	for len(params) < size {
		m, err := stream.Recv()
		if err != nil {
			return nil, c.conn.outcome(noEOF(err))
		}
		b := m.GetChunk()
		if len(b) == 0 || len(b)%4 != 0 || len(b)/4 > size-len(params) {
			return nil, fmt.Errorf("the server sent a chunk of %d bytes with %d parameters to come", len(b), size-len(params))
		}
		for ; len(b) > 0; b = b[4:] {
			params = append(params, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		if err == nil {
			return nil, errors.New("the server sent more than the announced model")
		}
		return nil, c.conn.outcome(err)
	}
	return params, nil
}

// Report uploads one update.
func (c *Client) Report(ctx context.Context, r participant.Report) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewFederationClient(c.conn).Report(ctx)
	if err != nil {
		return c.conn.outcome(err)
	}
	header := &pb.ReportHeader{
		ProtocolVersion: pb.Version,
		Run:             r.Run, Round: uint32(r.Round), Attempt: uint32(r.Attempt),
		ModelSha256: r.Model[:], TaskSha256: r.TaskHash[:], BodyBytes: uint64(len(r.Body)),
	}
	err = stream.Send(&pb.ReportRequest{Message: &pb.ReportRequest_Header{Header: header}})
	body := r.Body
	if err == nil {
		// The server's headers say that it has room. Without them it has ended the call: a
		// body that nobody takes is not sent.
		var room metadata.MD
		if room, err = stream.Header(); err == nil && room == nil {
			err = io.EOF
		}
	}
	for err == nil && len(body) > 0 {
		n := min(len(body), pb.MaxChunk)
		err = stream.Send(&pb.ReportRequest{Message: &pb.ReportRequest_Chunk{Chunk: body[:n:n]}})
		body = body[n:]
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the server answered already
		return c.conn.outcome(err)
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return c.conn.outcome(noEOF(err))
	}
	return nil
}

// noEOF: an end of stream where more was due is a failure like any other.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
