package train

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/optim"
)

// synthetic makes n noisy images whose bright row is their class.
func synthetic(t testing.TB, n int, client string) *dataset.Set {
	t.Helper()
	rng := seed.New(5, "synthetic", 0, client)
	pixels, labels := make([]uint8, 16*n), make([]int32, n)
	for i := range labels {
		labels[i] = int32(rng.IntN(3))
		for j := range 16 {
			pixels[16*i+j] = uint8(rng.IntN(150))
			if j/4 == int(labels[i]) {
				pixels[16*i+j] += 100
			}
		}
	}
	s, err := dataset.New(dataset.Shape{C: 1, H: 4, W: 4}, pixels, labels, testConfig().Classes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTrainer(t testing.TB, c Config) *Trainer {
	t.Helper()
	trainer, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return trainer
}

func initial(t testing.TB, c Config) []float32 {
	t.Helper()
	m, err := c.Architecture.Init(3)
	if err != nil {
		t.Fatal(err)
	}
	return m.Params
}

func run(t testing.TB, trainer *Trainer, global []float32, data, validation *dataset.Set, work Work) ([]float32, Metrics) {
	t.Helper()
	delta := make([]float32, len(global))
	m, err := trainer.Run(context.Background(), global, data, validation, work, delta)
	if err != nil {
		t.Fatal(err)
	}
	return delta, m
}

func TestOneLayerLearns(t *testing.T) {
	c := testConfig()
	data, test := synthetic(t, 300, "north"), synthetic(t, 300, "south")
	trainer, params := newTrainer(t, c), initial(t, c)
	before, _, err := trainer.Evaluate(context.Background(), params, test)
	if err != nil {
		t.Fatal(err)
	}
	delta, m := run(t, trainer, params, data, test, Work{Round: 1, Client: "north", Epochs: 10, LR: 0.02})
	if m.ValLoss != before {
		t.Errorf("validation loss is %v, want that of the received model, %v", m.ValLoss, before)
	}
	for i, d := range delta {
		params[i] += d
	}
	after, correct, err := trainer.Evaluate(context.Background(), params, test)
	if err != nil {
		t.Fatal(err)
	}
	if after >= before/2 || correct < 270 {
		t.Errorf("loss went from %v to %v with %d of 300 correct, want it halved and 270", before, after, correct)
	}
}

// A trainer that served another client, with other work, an interruption and a
// divergence, gives the same bits as a fresh one.
func TestReuseLeaksNothing(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"momentum": func(*Config) {},
		"adam":     func(c *Config) { c.Optimizer = optim.Config{Name: optim.Adam, LR: 0.01} },
		"prox":     func(c *Config) { c.Optimizer = optim.Config{Name: optim.SGD, LR: 0.1, ProxMu: 0.3} },
		"augment":  func(c *Config) { c.Augmentation = dataset.Augmentation{Flip: true, Shift: 1, Rotate: 10} },
	} {
		c := testConfig()
		change(&c)
		global := initial(t, c)
		before := append([]float32(nil), global...)
		north, south := synthetic(t, 37, "north"), synthetic(t, 101, "south")
		work := Work{Round: 4, Client: "north", Epochs: 2.5, LR: 0.05}
		want, wantMetrics := run(t, newTrainer(t, c), global, north, south, work)

		used, delta := newTrainer(t, c), make([]float32, len(global))
		run(t, used, global, south, north, Work{Round: 3, Client: "south", Epochs: 1, LR: 0.1})
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := used.Run(cancelled, global, south, nil, work, delta); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
		broken := append([]float32(nil), global...)
		broken[0] = float32(math.NaN())
		if _, err := used.Run(context.Background(), broken, south, nil, work, delta); !errors.Is(err, ErrDiverged) {
			t.Errorf("%s: got %v, want ErrDiverged", name, err)
		}
		if _, _, err := used.Evaluate(context.Background(), global, north); err != nil {
			t.Fatal(err)
		}
		got, metrics := run(t, used, global, north, south, work)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: reused trainer differs (-fresh +reused):\n%s", name, diff)
		}
		if diff := cmp.Diff(wantMetrics, metrics); diff != "" {
			t.Errorf("%s: metrics differ:\n%s", name, diff)
		}
		if !cmp.Equal(before, global) {
			t.Errorf("%s: training changed the global model", name)
		}
	}
}

func TestRandomnessComesFromSeedRoundAndClient(t *testing.T) {
	c := testConfig()
	c.Augmentation = dataset.Augmentation{Shift: 1}
	global, data := initial(t, c), synthetic(t, 40, "north")
	work := Work{Round: 4, Client: "north", Epochs: 1, LR: 0.05}
	base, _ := run(t, newTrainer(t, c), global, data, nil, work)
	if again, _ := run(t, newTrainer(t, c), global, data, nil, work); !cmp.Equal(base, again) {
		t.Error("the same seed, round and client gave another update")
	}
	other, round, client := c, work, work
	other.Seed++
	round.Round++
	client.Client = "south"
	for name, test := range map[string]struct {
		c Config
		w Work
	}{"seed": {other, work}, "round": {c, round}, "client": {c, client}} {
		if got, _ := run(t, newTrainer(t, test.c), global, data, nil, test.w); cmp.Equal(base, got) {
			t.Errorf("another %s gave the same update", name)
		}
	}
}

func TestAmountOfWork(t *testing.T) {
	for name, test := range map[string]struct {
		n, batch, maxSteps int
		epochs             float64
		steps, processed   int
	}{
		"whole batches":    {16, 8, 0, 1, 2, 16},
		"ragged":           {17, 8, 0, 1, 3, 17},
		"two ragged":       {17, 8, 0, 2, 6, 34},
		"half":             {17, 8, 0, 0.5, 2, 9},
		"one and a half":   {16, 8, 0, 1.5, 3, 24},
		"less than one":    {10, 8, 0, 0.001, 1, 1},
		"batch above data": {3, 8, 0, 1, 1, 3},
		"steps bound":      {100, 8, 5, 2, 5, 40},
	} {
		c := testConfig()
		c.Batch, c.MaxSteps = test.batch, test.maxSteps
		_, m := run(t, newTrainer(t, c), initial(t, c), synthetic(t, test.n, ""), nil, Work{Epochs: test.epochs, LR: 0.01})
		if m.Steps != test.steps || m.TrainExamples != test.processed || m.Examples != test.n {
			t.Errorf("%s: %d steps on %d of %d examples, want %d on %d of %d", name,
				m.Steps, m.TrainExamples, m.Examples, test.steps, test.processed, test.n)
		}
	}
}

// One full-batch step without momentum is -lr times the gradient, and the
// proximal term is zero at the anchor but pulls afterwards.
func TestProximalTermPullsTowardsGlobal(t *testing.T) {
	c := testConfig()
	c.Batch, c.Optimizer = 40, optim.Config{Name: optim.SGD, LR: 0.1}
	global, data := initial(t, c), synthetic(t, 40, "")
	near := c
	near.Optimizer.ProxMu = 2
	norm := func(c Config, epochs float64) float64 {
		delta, _ := run(t, newTrainer(t, c), global, data, nil, Work{Epochs: epochs, LR: 0.1})
		var s float64
		for _, d := range delta {
			s += float64(d) * float64(d)
		}
		return math.Sqrt(s)
	}
	if a, b := norm(c, 1), norm(near, 1); a != b {
		t.Errorf("first step has norm %v without and %v with the proximal term", a, b)
	}
	if a, b := norm(c, 20), norm(near, 20); b >= 0.8*a {
		t.Errorf("update has norm %v without and %v with the proximal term, want it shorter", a, b)
	}
}

func TestRunRefuses(t *testing.T) {
	c := testConfig()
	global, data := initial(t, c), synthetic(t, 20, "")
	foreign, err := dataset.New(dataset.Shape{C: 1, H: 4, W: 4}, make([]uint8, 16), []int32{0}, []string{"b", "<a>", "ç"})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := dataset.New(dataset.Shape{C: 1, H: 2, W: 8}, make([]uint8, 16), []int32{0}, c.Classes)
	if err != nil {
		t.Fatal(err)
	}
	work := Work{Epochs: 1, LR: 0.1}
	for name, test := range map[string]struct {
		global           []float32
		data, validation *dataset.Set
		work             Work
		delta            int
	}{
		"no data":            {global, nil, nil, work, len(global)},
		"empty data":         {global, data.Subset(nil), nil, work, len(global)},
		"order of classes":   {global, foreign, nil, work, len(global)},
		"shape":              {global, wide, nil, work, len(global)},
		"validation classes": {global, data, foreign, work, len(global)},
		"short global":       {global[1:], data, nil, work, len(global) - 1},
		"short delta":        {global, data, nil, work, 1},
		"no epochs":          {global, data, nil, Work{LR: 0.1}, len(global)},
		"nan epochs":         {global, data, nil, Work{Epochs: math.NaN(), LR: 0.1}, len(global)},
		"huge epochs":        {global, data, nil, Work{Epochs: 1e18, LR: 0.1}, len(global)},
		"nan rate":           {global, data, nil, Work{Epochs: 1, LR: math.NaN()}, len(global)},
		"negative rate":      {global, data, nil, Work{Epochs: 1, LR: -1}, len(global)},
	} {
		delta := make([]float32, test.delta)
		if _, err := newTrainer(t, c).Run(context.Background(), test.global, test.data, test.validation, test.work, delta); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDivergenceIsNamed(t *testing.T) {
	c := testConfig()
	global, data := initial(t, c), synthetic(t, 40, "")
	delta := make([]float32, len(global))
	if _, err := newTrainer(t, c).Run(context.Background(), global, data, nil, Work{Epochs: 3, LR: 1e38}, delta); !errors.Is(err, ErrDiverged) {
		t.Errorf("got %v, want ErrDiverged", err)
	}
}

// More steps cost no more allocations.
func TestStepsAllocateNothing(t *testing.T) {
	c := testConfig()
	c.Augmentation = dataset.Augmentation{Flip: true, Shift: 1, Rotate: 5}
	trainer, global, data := newTrainer(t, c), initial(t, c), synthetic(t, 64, "")
	delta := make([]float32, len(global))
	count := func(steps int) float64 {
		trainer.cfg.MaxSteps = steps
		return testing.AllocsPerRun(5, func() {
			if _, err := trainer.Run(context.Background(), global, data, nil, Work{Epochs: 1, LR: 0.01}, delta); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, eight := count(1), count(8); eight > one {
		t.Errorf("a run of 1 step allocates %v times, of 8 steps %v times", one, eight)
	}
}
