package serveropt

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/seed"
)

// Worked by hand from the formulas of the package comment. Two rounds of one
// parameter, x0 = 1, D = 0.5 then -0.25.
func TestHandComputed(t *testing.T) {
	for name, test := range map[string]struct {
		c    Config
		want [2]float64
	}{
		"fedavg":         {Config{Name: FedAvg}, [2]float64{1.5, 1.25}},
		"fedavg lr 0.5":  {Config{Name: FedAvg, LR: 0.5}, [2]float64{1.25, 1.125}},
		"fedavgm":        {Config{Name: FedAvgM, Momentum: 0.5}, [2]float64{1.5, 1.5}},
		"fedavgm lr 0.5": {Config{Name: FedAvgM, Momentum: 0.5, LR: 0.5}, [2]float64{1.25, 1.25}},
		// v: 1 -> 0.5*1 + 0.5*0.25 = 0.625 -> 0.3125 + 0.03125 = 0.34375
		// m: 0.25 -> 0.125 - 0.125 = 0
		"fedadam": {Config{Name: FedAdam, LR: 1, Beta1: 0.5, Beta2: 0.5, Tau: 1},
			[2]float64{1 + 0.25/(math.Sqrt(0.625)+1), 1 + 0.25/(math.Sqrt(0.625)+1)}},
		// v: 1 - 0.5*0.25 = 0.875 -> 0.875 - 0.5*0.0625 = 0.84375
		// m: 0.4*0.5 = 0.2 -> 0.12 - 0.1 = 0.02
		"fedyogi": {Config{Name: FedYogi, LR: 1, Beta1: 0.6, Beta2: 0.5, Tau: 1},
			[2]float64{1 + 0.2/(math.Sqrt(0.875)+1), 1 + 0.2/(math.Sqrt(0.875)+1) + 0.02/(math.Sqrt(0.84375)+1)}},
		// v grows where the update is large: 0.01 + 0.5*0.25 = 0.135 -> 0.135 - 0.5*0.0625 = 0.10375
		"fedyogi growing": {Config{Name: FedYogi, LR: 1, Beta1: 0.6, Beta2: 0.5, Tau: 0.1},
			[2]float64{1 + 0.2/(math.Sqrt(0.135)+0.1), 1 + 0.2/(math.Sqrt(0.135)+0.1) + 0.02/(math.Sqrt(0.10375)+0.1)}},
	} {
		o, err := New(test.c, 1)
		if err != nil {
			t.Fatal(err)
		}
		x := []float32{1}
		for round, d := range []float64{0.5, -0.25} {
			if err := o.Apply(x, []float64{d}); err != nil {
				t.Fatal(err)
			}
			if math.Abs(float64(x[0])-test.want[round]) > 1e-6 {
				t.Errorf("%s: round %d gives %.9g, want %.9g", name, round, x[0], test.want[round])
			}
		}
	}
}

// reference follows the paper literally in 200-bit arithmetic for one parameter.
func reference(c Config, x float32, deltas []float64) float32 {
	f := func(v float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(v) }
	mul := func(a, b *big.Float) *big.Float { return f(0).Mul(a, b) }
	add := func(a, b *big.Float) *big.Float { return f(0).Add(a, b) }
	m, v := f(0), f(c.Tau*c.Tau)
	for _, delta := range deltas {
		d := f(delta)
		step := d
		switch c.Name {
		case FedAvgM:
			m = add(mul(f(c.Momentum), m), d)
			step = m
		case FedAdam, FedYogi:
			m = add(mul(f(c.Beta1), m), mul(f(1-c.Beta1), d))
			d2 := mul(d, d)
			if c.Name == FedAdam {
				v = add(mul(f(c.Beta2), v), mul(f(1-c.Beta2), d2))
			} else {
				sign := f(0).Sub(v, d2).Sign()
				v = f(0).Sub(v, mul(mul(f(1-c.Beta2), d2), f(float64(sign))))
			}
			step = f(0).Quo(m, add(f(0).Sqrt(v), f(c.Tau)))
		}
		// The model itself is float32 between rounds.
		x, _ = add(f(float64(x)), mul(f(c.LR), step)).Float32()
	}
	return x
}

func TestAgainstReference(t *testing.T) {
	const size, rounds = 50, 20
	for _, name := range []string{FedAvg, FedAvgM, FedAdam, FedYogi} {
		c := Config{Name: name}.WithDefaults()
		rng := seed.New(1, "test", 0, name)
		o, err := New(c, size)
		if err != nil {
			t.Fatal(err)
		}
		initial, params := make([]float32, size), make([]float32, size)
		deltas := make([][]float64, size)
		for i := range initial {
			initial[i] = float32(rng.NormFloat64())
			params[i] = initial[i]
		}
		for range rounds {
			mean := make([]float64, size)
			for i := range mean {
				mean[i] = rng.NormFloat64() * math.Pow(10, float64(i%5)-4)
				if i%7 == 0 {
					mean[i] = 0
				}
				deltas[i] = append(deltas[i], mean[i])
			}
			if err := o.Apply(params, mean); err != nil {
				t.Fatal(err)
			}
		}
		for i := range params {
			// A last-place difference before rounding may tip a float32 once a round.
			want := float64(reference(c, initial[i], deltas[i]))
			if d := math.Abs(float64(params[i]) - want); d > 4e-7*(1+math.Abs(want)) {
				t.Errorf("%s: parameter %d is %.9g, want %.9g", name, i, params[i], want)
			}
		}
	}
}

func TestApplyRefusesBeforeAnyChange(t *testing.T) {
	o, err := New(Config{Name: FedYogi}, 2)
	if err != nil {
		t.Fatal(err)
	}
	before := o.State()
	params := []float32{1, 2}
	for _, test := range []struct {
		delta []float64
		want  error
	}{
		{[]float64{1, math.NaN()}, ErrNotFinite},
		{[]float64{1, math.Inf(-1)}, ErrNotFinite},
		{[]float64{1, 1e300}, ErrNotFinite},
		{[]float64{1}, ErrLength},
		{nil, ErrLength},
	} {
		if err := o.Apply(params, test.delta); !errors.Is(err, test.want) {
			t.Errorf("%v: got %v, want %v", test.delta, err, test.want)
		}
	}
	if !cmp.Equal(params, []float32{1, 2}) || !bytes.Equal(before, o.State()) {
		t.Error("a refused update changed the model or the state")
	}
}

func TestConfigProblems(t *testing.T) {
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{}, "fedavg, fedavgm, fedadam or fedyogi"},
		{Config{Name: "FedAvg"}, `name: got "FedAvg"`},
		{Config{Name: FedAvg, LR: -1}, "lr: got -1"},
		{Config{Name: FedAvg, LR: math.NaN()}, "lr: got NaN"},
		{Config{Name: FedAvg, Momentum: 0.9}, "momentum: fedavg does not use it"},
		{Config{Name: FedAvgM, Momentum: 1}, "momentum: got 1"},
		{Config{Name: FedAdam, Beta2: 1.5}, "beta2: got 1.5"},
		{Config{Name: FedYogi, Tau: -1}, "tau: got -1"},
		{Config{Name: FedAvgM, Tau: 1}, "tau: fedavgm does not use it"},
		{Config{Name: FedAvg, Average: 1}, "average: got 1"},
	} {
		if err := test.c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.c, err, test.want)
		}
		if _, err := New(test.c, 1); err == nil {
			t.Errorf("%+v: New accepted it", test.c)
		}
	}
}

// The average of the first rounds is nearly their mean, later ones decay; by hand for models 1,
// 3, 2, -6: weights (t-1)/(t+9) are 0, 1/11, 2/12, then 3/13 is cut to 0.2.
func TestAverage(t *testing.T) {
	o, err := New(Config{Name: FedAvg, Average: 0.2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	x, want := []float32{0}, 0.0
	for i, step := range []struct{ delta, w float64 }{{1, 0}, {2, 1.0 / 11}, {-1, 1.0 / 6}, {-8, 0.2}} {
		if err := o.Apply(x, []float64{step.delta}); err != nil {
			t.Fatal(err)
		}
		want = step.w*want + (1-step.w)*float64(x[0])
		if got := o.Average(); math.Abs(float64(got[0])-want) > 1e-6 {
			t.Errorf("round %d: average %g, want %g", i+1, got[0], want)
		}
	}
	if o, _ = New(Config{Name: FedAvg}, 1); o.Average() != nil {
		t.Error("an average that nobody asked for")
	}
}

// A run that is restored half way ends where the uninterrupted one does.
func TestRestoreContinues(t *testing.T) {
	for i, name := range []string{FedAvg, FedAvgM, FedAdam, FedYogi, FedAvgM} {
		c := Config{Name: name, Average: float64(i/3) * 0.15}
		whole, _ := New(c, 3)
		first, _ := New(c, 3)
		second, _ := New(c, 3)
		a, b := []float32{1, 2, 3}, []float32{1, 2, 3}
		delta := []float64{0.5, -0.25, 1e-9}
		for range 4 {
			whole.Apply(a, delta)
		}
		first.Apply(b, delta)
		first.Apply(b, delta)
		if err := second.Restore(first.State()); err != nil {
			t.Fatal(err)
		}
		second.Apply(b, delta)
		second.Apply(b, delta)
		if !cmp.Equal(a, b) || !cmp.Equal(whole.Average(), second.Average()) || !bytes.Equal(whole.State(), second.State()) {
			t.Errorf("%s: restored run ends at %v, want %v", name, b, a)
		}
	}
}

func TestRestoreRefusesForeignState(t *testing.T) {
	adam, _ := New(Config{Name: FedAdam}, 3)
	yogi, _ := New(Config{Name: FedYogi}, 3)
	four, _ := New(Config{Name: FedAdam}, 4)
	good := adam.State()
	nan := bytes.Clone(good)
	copy(nan[len(nan)-8:], []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f})
	negative := bytes.Clone(good)
	negative[len(negative)-1] |= 0x80
	version := bytes.Clone(good)
	version[len(stateMagic)-2] = '2'
	for name, state := range map[string][]byte{
		"empty": nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "other rule": yogi.State(),
		"other size": four.State(), "nan": nan, "negative v": negative, "other version": version,
	} {
		if err := adam.Restore(state); !errors.Is(err, ErrState) {
			t.Errorf("%s: got %v, want ErrState", name, err)
		}
	}
	if !bytes.Equal(good, adam.State()) {
		t.Error("a refused state changed the optimiser")
	}
}

func FuzzRestore(f *testing.F) {
	o, err := New(Config{Name: FedAdam}, 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(o.State())
	f.Add(o.State()[:20])
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, state []byte) {
		o, _ := New(Config{Name: FedAdam}, 3)
		before := o.State()
		if o.Restore(state) != nil {
			state = before
		}
		if !bytes.Equal(o.State(), state) {
			t.Fatal("the state is neither the old nor the new one")
		}
	})
}
