package rpc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/internal/statement"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// scripted is a server's stream that makes each message when it is asked for, and fails
// after the last.
type scripted struct {
	grpc.ClientStream
	messages int
	at       int
	message  func(i int) *pb.HolderTask
	sent     []*pb.HolderMessage
}

func (s *scripted) Send(m *pb.HolderMessage) error { s.sent = append(s.sent, m); return nil }

func (s *scripted) Recv() (*pb.HolderTask, error) {
	if s.at == s.messages {
		return nil, io.ErrUnexpectedEOF
	}
	s.at++
	return s.message(s.at - 1), nil
}

// proposing is a stream that proposes n uploads with boxes of a size; each share
// differs in its first byte.
func proposing(n, size int) *scripted {
	h := keyshare.Header{Client: "client", Order: keyshare.Order{Work: 1, Weight: 1, Mode: "eco"}, Shares: make([]keyshare.Commitment, 4)}
	h.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	header := h.Bytes()
	announcement := (&keyshare.Announcement{Version: keyshare.ProtocolVersion, Run: "run", Round: 1, Attempt: 1, Goal: uint64(n)}).Bytes()
	return &scripted{messages: 1 + 2*n, message: func(i int) *pb.HolderTask {
		switch {
		case i == 0:
			return &pb.HolderTask{Message: &pb.HolderTask_Proposal{Proposal: &pb.Proposal{Announcement: announcement, Groups: []uint32{uint32(n / 2), uint32(n - n/2)}}}}
		case i <= n:
			return &pb.HolderTask{Message: &pb.HolderTask_Upload{Upload: &pb.ProposedUpload{Header: header}}}
		}
		box := make([]byte, size)
		box[0] = byte(i - n - 1)
		return &pb.HolderTask{Message: &pb.HolderTask_Upload{Upload: &pb.ProposedUpload{Box: box}}}
	}}
}

func holding(s *scripted) *Holder {
	return &Holder{client: &Client{conn: &connection{untrusted: new(atomic.Pointer[error])}}, stream: s, cancel: func() {}}
}

func proposal(t *testing.T, h *Holder) keyholder.Proposal {
	t.Helper()
	task, err := h.NextTask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, ok := task.(keyholder.Proposal)
	if !ok {
		t.Fatalf("task is %T, want a proposal", task)
	}
	return p
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A holder holds one sealed share at a time, of however many there are: 4000 of them,
// 59 MB, pass through less than 8 MB of memory, most of which is headers.
func TestSharesAreNotKept(t *testing.T) {
	const n, size = 4000, 14736
	before := heap()
	p := proposal(t, holding(proposing(n, size)))
	if got := p.Set.Clients(); got != n {
		t.Fatalf("%d clients in the set, want %d", got, n)
	}
	i, peak := 0, uint64(0)
	for box, err := range p.Boxes {
		if err != nil {
			t.Fatal(err)
		}
		if len(box) != size || box[0] != byte(i) {
			t.Fatalf("share %d has %d bytes and begins with %d", i, len(box), box[0])
		}
		if i++; i%500 == 0 {
			peak = max(peak, heap())
		}
	}
	if i != n {
		t.Errorf("%d shares, want %d", i, n)
	}
	if used := int64(peak) - int64(before); used > 8<<20 {
		t.Errorf("%d bytes in use while the shares came, want less than 8 MB", used)
	}
	runtime.KeepAlive(p)
}

// A verdict that needs no look at the shares, or at some of them only, leaves the stream
// at the next task.
func TestVerdictDropsSharesLeft(t *testing.T) {
	for _, looked := range []int{0, 1, 9, 10} {
		s := proposing(10, 100)
		proposals, first := s.messages, s.message
		s.messages++
		s.message = func(i int) *pb.HolderTask {
			if i < proposals {
				return first(i)
			}
			return &pb.HolderTask{Message: &pb.HolderTask_Keys{Keys: &pb.KeysWanted{Run: "run", First: 2, Count: 1}}}
		}
		h := holding(s)
		p := proposal(t, h)
		for _, err := range p.Boxes {
			if looked--; err != nil || looked <= 0 {
				break
			}
		}
		if err := h.Verdict(t.Context(), keyshare.Refuse(statement.Digest{}, 1, errors.New("no"))); err != nil {
			t.Fatal(err)
		}
		if task, err := h.NextTask(t.Context()); err != nil || task != (keyholder.KeysWanted{Run: "run", First: 2, Count: 1}) {
			t.Errorf("the next task is %v, %v; want keys", task, err)
		}
	}
}

// A stream that breaks among the shares, or on which something else comes, ends the
// look with an error and the stream with it.
func TestSharesThatDoNotCome(t *testing.T) {
	for name, change := range map[string]func(*scripted){
		"broken off": func(s *scripted) { s.messages -= 3 },
		"a task": func(s *scripted) {
			first := s.message
			s.message = func(i int) *pb.HolderTask {
				if i == 17 {
					return &pb.HolderTask{Message: &pb.HolderTask_Keys{Keys: &pb.KeysWanted{}}}
				}
				return first(i)
			}
		},
	} {
		s := proposing(10, 100)
		change(s)
		h := holding(s)
		p := proposal(t, h)
		var failed error
		for _, err := range p.Boxes {
			failed = err
		}
		if failed == nil || h.stream != nil {
			t.Errorf("%s: error %v, stream kept: %v", name, failed, h.stream != nil)
		}
	}
}

// Announced numbers take no memory: what is not sent is not made room for.
func TestProposalOfTooMany(t *testing.T) {
	for _, groups := range [][]uint32{{keyshare.MaxUploads + 1}, {1 << 31, 1 << 31, 1 << 31}} {
		s := proposing(2, 10)
		first := s.message
		s.message = func(i int) *pb.HolderTask {
			m := first(i)
			if p := m.GetProposal(); p != nil {
				p.Groups = groups
			}
			return m
		}
		if _, err := holding(s).NextTask(context.Background()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(keyshare.MaxUploads)) {
			t.Errorf("groups of %v: got %v", groups, err)
		}
	}
}
