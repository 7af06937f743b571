package participant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
)

func task() train.Config {
	return train.Config{
		Architecture: nn.Architecture{Name: "tiny", Input: nn.Shape{C: 1, H: 2, W: 2}, Layers: []nn.Layer{{Kind: nn.Flatten}, {Kind: nn.Dense, Out: 2}}},
		Classes:      []string{"a", "b"}, Normalization: dataset.Normalization{Mean: []float64{0}, Std: []float64{1}},
		Optimizer: optim.Config{Name: "sgd", LR: 0.1}, Batch: 2, Epochs: 1, Seed: 1,
	}
}

type trainers struct{}

func (trainers) Borrow(_ context.Context, c train.Config) (*train.Trainer, func(), error) {
	t, err := train.New(c)
	return t, func() {}, err
}

type data struct {
	t   *testing.T
	err error
}

func (d data) Open(train.Config) (*dataset.Set, *dataset.Set, error) {
	if d.err != nil {
		return nil, nil, d.err
	}
	pix := []uint8{255, 0, 0, 0, 0, 255, 0, 0, 255, 10, 0, 0, 0, 255, 20, 0}
	s, err := dataset.New(dataset.Shape{C: 1, H: 2, W: 2}, pix, []int32{0, 1, 0, 1}, []string{"a", "b"})
	if err != nil {
		d.t.Fatal(err)
	}
	return s, nil, nil
}

// server is a scripted other side: each call takes the next answer of its list,
// and the last one for ever.
type server struct {
	order    Order
	params   []float32
	checkIns []error
	reports  []error
	bodies   [][]byte
	calls    int
	left     int
	told     func(Info) // what comes with each check-in; may be nil
}

func next(list *[]error) error {
	if len(*list) == 0 {
		return nil
	}
	err := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return err
}

func (s *server) Leave() { s.left++ }

func (s *server) CheckIn(_ context.Context, info Info) (Order, error) {
	s.calls++
	if s.told != nil {
		s.told(info)
	}
	if err := next(&s.checkIns); err != nil {
		return Order{}, err
	}
	return s.order, nil
}

func (s *server) Model(context.Context, [32]byte, int) ([]float32, error) { return s.params, nil }

func (s *server) Report(_ context.Context, r Report) error {
	s.bodies = append(s.bodies, r.Body)
	return next(&s.reports)
}

func newServer(t *testing.T) *server {
	t.Helper()
	b, err := task().Encode()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := task().Architecture.Layout()
	if err != nil {
		t.Fatal(err)
	}
	m := model.New(layout)
	return &server{params: m.Params, order: Order{
		Run: "r", Round: 1, Attempt: 1, Task: b, TaskHash: sha256.Sum256(b), Model: m.SHA256(),
		Codec: aggregation.Codec{Bits: 16, Range: 1}, Epochs: 1, LR: 0.1, Weight: 1, Deadline: time.Hour,
	}}
}

func participate(t *testing.T, s *server, d Data) error {
	t.Helper()
	return New("north", s, d, trainers{}, nil, nil, nil).Run(t.Context(), Info{Examples: 4})
}

func TestSameOrderSameReport(t *testing.T) {
	s := newServer(t)
	s.checkIns = []error{nil, nil, ErrFinished}
	if err := participate(t, s, data{t: t}); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 2 || !bytes.Equal(s.bodies[0], s.bodies[1]) {
		t.Fatalf("%d reports, want two equal ones", len(s.bodies))
	}
	other := newServer(t)
	other.order.Round = 2
	other.checkIns = []error{nil, ErrFinished}
	if err := participate(t, other, data{t: t}); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(s.bodies[0], other.bodies[0]) {
		t.Error("another round gave the same report: its shuffling and rounding must differ")
	}
}

// A lost connection never ends a participant, and a report once computed is sent
// until it arrives.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		lost := errors.New("connection reset")
		s.checkIns = []error{lost, lost, lost, nil, ErrFinished}
		s.reports = []error{lost, lost, nil}
		start := time.Now()
		if err := participate(t, s, data{t: t}); err != nil {
			t.Fatal(err)
		}
		if len(s.bodies) != 3 || s.calls != 5 {
			t.Errorf("%d reports and %d check-ins, want 3 and 5", len(s.bodies), s.calls)
		}
		if time.Since(start) < 500*time.Millisecond {
			t.Errorf("five retries took %s: no pause between them", time.Since(start))
		}
	})
}

// When the round's time is up the participant gives the report up and checks in
// again.
func TestLateReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.order.Deadline = 10 * time.Second
		s.checkIns = []error{nil, ErrFinished}
		s.reports = []error{errors.New("unreachable")}
		start := time.Now()
		if err := participate(t, s, data{t: t}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("gave up after %s, want 10 s", took)
		}
	})
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server)
		data   error
		want   error
		text   string
	}{
		"refused at check-in":  {change: func(s *server) { s.checkIns = []error{ErrRefused} }, want: ErrRefused},
		"refused report":       {change: func(s *server) { s.reports = []error{ErrRefused} }, want: ErrRefused},
		"weight above one":     {change: func(s *server) { s.order.Weight = 1.5 }, want: ErrRefused, text: "weight"},
		"no learning rate":     {change: func(s *server) { s.order.LR = 0 }, want: ErrRefused, text: "learning rate"},
		"codec out of bounds":  {change: func(s *server) { s.order.Codec.Bits = 60 }, want: ErrRefused, text: "bits"},
		"task that is no task": {change: func(s *server) { s.order.Task = []byte("{}"); s.order.TaskHash = sha256.Sum256(s.order.Task) }, want: ErrRefused, text: "task"},
		"data cannot be read":  {change: func(*server) {}, data: errors.New("folder is gone"), want: errLocal, text: "folder is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			c.change(s)
			err := participate(t, s, data{t: t, err: c.data})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// A model that is not the announced one is never trained on.
func TestWrongModel(t *testing.T) {
	s := newServer(t)
	s.params = append([]float32{1}, s.params[1:]...)
	p := New("north", s, data{t: t}, trainers{}, nil, nil, nil)
	if err := p.Work(t.Context(), s.order); err == nil || !strings.Contains(err.Error(), "not the one announced") {
		t.Errorf("got %v, want a refusal", err)
	}
	if len(s.bodies) != 0 {
		t.Error("a report left all the same")
	}
}

func TestBackoff(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 100; n++ {
		if d := Backoff(n, rng); d < 50*time.Millisecond || d > 33*time.Second {
			t.Errorf("pause %d is %s", n, d)
		}
	}
}
