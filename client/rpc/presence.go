package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// presence keeps a client attended. It is either asking, when its owner waits for
// an order on the stream, or held, when a goroutine watches the stream while the
// owner trains, and opens it again if it breaks.
type presence struct {
	conn *connection
	info participant.Info

	live   *attendance // owned by the goroutine while held
	cancel context.CancelFunc
	held   sync.WaitGroup
}

func newPresence(conn *connection, info participant.Info) *presence {
	return &presence{conn: conn, info: info, cancel: func() {}}
}

// ask waits for the next order, on the live stream or on a new one. It tells of info what
// the server wants, and says how much that was.
func (p *presence) ask(ctx context.Context, info participant.Info) (*pb.Order, costcurve.Disclosure, error) {
	if p.live == nil {
		a, err := attend(ctx, p.conn, p.info)
		if err != nil {
			return nil, 0, err
		}
		p.live = a
	}
	var told costcurve.Disclosure
	info.Offer, told = info.Offer.Under(p.live.wanted())
	m, err := p.live.ask(ctx, readyMessage(info))
	return m, told, err
}

// hold watches the stream for at most limit, until release or stop.
func (p *presence) hold(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p.cancel = cancel
	p.held.Go(func() {
		for try := 1; ; {
			if p.live != nil {
				opened := time.Now()
				select {
				case <-ctx.Done():
					return
				case <-p.live.done:
				}
				if time.Since(opened) > time.Minute {
					try = 1
				}
				if final(p.live.err) {
					p.live = nil
					return
				}
				p.live = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(participant.Backoff(try, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))):
			}
			try++
			a, err := attend(ctx, p.conn, p.info)
			if err == nil {
				p.live = a
			} else if final(err) {
				return
			}
		}
	})
}

// final: opening the stream again would give the same answer, or would push out
// the process that took this one's place.
func final(err error) bool {
	err = outcome(err)
	return errors.Is(err, participant.ErrRefused) || errors.Is(err, participant.ErrFinished)
}

// release gives the stream back to its owner: nil if it broke.
func (p *presence) release() *attendance {
	p.cancel()
	p.held.Wait()
	if p.live != nil {
		select {
		case <-p.live.done:
			p.live = nil
		default:
		}
	}
	return p.live
}

func (p *presence) stop() {
	p.cancel()
	p.held.Wait()
	if p.live != nil {
		p.live.cancel()
		<-p.live.done
		p.live = nil
	}
}

// attendance is one Attend stream. A goroutine reads it, so that its end is
// noticed at once.
type attendance struct {
	stream grpc.BidiStreamingClient[pb.AttendRequest, pb.Order]
	cancel context.CancelFunc
	orders chan *pb.Order
	done   chan struct{}
	err    error // set before done is closed
}

// attend opens a stream and says hello. The stream outlives ctx, which bounds
// the opening alone.
func attend(ctx context.Context, conn *connection, info participant.Info) (*attendance, error) {
	long, cancel := context.WithCancel(context.Background())
	opening := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewFederationClient(conn).Attend(long)
	if err == nil {
		err = stream.Send(&pb.AttendRequest{Message: &pb.AttendRequest_Hello{Hello: &pb.Hello{
			ProtocolVersion: pb.Version, Examples: uint64(info.Examples),
		}}})
		if err != nil { // the server answered already: its answer is the reason
			_, err = stream.Recv()
		}
	}
	if !opening() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, noEOF(err)
	}
	a := &attendance{stream: stream, cancel: cancel, orders: make(chan *pb.Order, 1), done: make(chan struct{})}
	go a.read(long)
	return a, nil
}

// wanted is how much of the device the server asks for; nothing where it does not say.
func (a *attendance) wanted() costcurve.Disclosure {
	h, err := a.stream.Header() // comes with the answer to Hello
	if err != nil {
		return costcurve.TellNothing // asking fails as well, and says why
	}
	for _, v := range h.Get(pb.OfferHeader) {
		switch v {
		case pb.OfferCurve:
			return costcurve.TellCurve
		case pb.OfferDevice:
			return costcurve.TellDevice
		}
	}
	return costcurve.TellNothing
}

func (a *attendance) read(ctx context.Context) {
	defer close(a.done)
	defer a.cancel()
	for {
		m, err := a.stream.Recv()
		if err != nil {
			a.err = noEOF(err)
			return
		}
		select {
		case a.orders <- m:
		default:
			a.err = errors.New("the server sent an order that nobody asked for")
			return
		}
	}
}

func (a *attendance) ask(ctx context.Context, ready *pb.Ready) (*pb.Order, error) {
	select {
	case <-a.orders:
		return nil, errors.New("the server sent an order that nobody asked for")
	default:
	}
	if err := a.stream.Send(&pb.AttendRequest{Message: &pb.AttendRequest_Ready{Ready: ready}}); err != nil {
		<-a.done // a failed Send ends the stream; the reader learns why
		return nil, a.err
	}
	select {
	case m := <-a.orders:
		return m, nil
	case <-a.done:
		return nil, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
