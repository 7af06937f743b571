package optim

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reference follows the pseudo-code of the torch.optim documentation in float64
// for one parameter whose gradient is grad(w).
func reference(c Config, w float64, anchor float64, grad func(w float64) float64, lr float64, steps int) float64 {
	var buf, m, v float64
	for t := 1; t <= steps; t++ {
		g := grad(w) + c.ProxMu*(w-anchor)
		if c.Name == SGD {
			g += c.WeightDecay * w
			if c.Momentum != 0 {
				if t > 1 {
					buf = c.Momentum*buf + g
				} else {
					buf = g
				}
				if c.Nesterov {
					g += c.Momentum * buf
				} else {
					g = buf
				}
			}
			w -= lr * g
			continue
		}
		if c.Name == AdamW {
			w -= lr * c.WeightDecay * w
		} else {
			g += c.WeightDecay * w
		}
		m = c.Beta1*m + (1-c.Beta1)*g
		v = c.Beta2*v + (1-c.Beta2)*g*g
		mHat, vHat := m/(1-math.Pow(c.Beta1, float64(t))), v/(1-math.Pow(c.Beta2, float64(t)))
		w -= lr * mHat / (math.Sqrt(vHat) + c.Epsilon)
	}
	return w
}

var configs = map[string]Config{
	"sgd":             {Name: SGD, LR: 0.1},
	"sgd decay":       {Name: SGD, LR: 0.1, WeightDecay: 0.1},
	"momentum":        {Name: SGD, LR: 0.1, Momentum: 0.9},
	"nesterov":        {Name: SGD, LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.01},
	"prox":            {Name: SGD, LR: 0.1, ProxMu: 0.5},
	"prox everything": {Name: SGD, LR: 0.1, Momentum: 0.5, Nesterov: true, WeightDecay: 0.1, ProxMu: 2},
	"adam":            {Name: Adam, LR: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
	"adam decay":      {Name: Adam, LR: 0.01, Beta1: 0.8, Beta2: 0.9, Epsilon: 1e-3, WeightDecay: 0.3, ProxMu: 0.1},
	"adamw":           {Name: AdamW, LR: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.3},
	"adamw no decay":  {Name: AdamW, LR: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
}

func TestStepAgainstReference(t *testing.T) {
	const size, steps = 9, 25
	for name, c := range configs {
		rng := rand.New(rand.NewPCG(1, 2))
		o, err := New(c, size)
		if err != nil {
			t.Fatal(name, err)
		}
		start, target := make([]float32, size), make([]float32, size)
		for i := range start {
			start[i], target[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
		}
		w, grads := append([]float32(nil), start...), make([]float32, size)
		// The second run, after a Reset, must not remember the first.
		for run := range 2 {
			copy(w, start)
			o.Reset()
			o.SetAnchor(start)
			for range steps {
				for i := range grads {
					grads[i] = w[i] - target[i]
				}
				o.Step(w, grads, c.LR)
			}
			for i, got := range w {
				want := reference(c, float64(start[i]), float64(start[i]), func(w float64) float64 { return w - float64(target[i]) }, c.LR, steps)
				// float32 against float64: some 25 roundings of values near 1.
				if math.Abs(float64(got)-want) > 1e-5 {
					t.Errorf("%s, run %d: weight %d is %v, want %v", name, run, i, got, want)
				}
			}
		}
	}
}

func TestAdamDefaultsArePyTorchs(t *testing.T) {
	short, long := Config{Name: Adam, LR: 0.01}, configs["adam"]
	if diff := cmp.Diff(long, short.withDefaults()); diff != "" {
		t.Error(diff)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	for name, c := range configs {
		o, err := New(c, 100)
		if err != nil {
			t.Fatal(err)
		}
		w, g := make([]float32, 100), make([]float32, 100)
		o.SetAnchor(w)
		if n := testing.AllocsPerRun(10, func() { o.Step(w, g, 0.1) }); n != 0 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}

func TestConfigProblems(t *testing.T) {
	for _, test := range []struct {
		c    Config
		want []string
	}{
		{Config{}, []string{`name: got "", want sgd, adam or adamw`}},
		{Config{Name: SGD}, []string{"lr: got 0"}},
		{Config{Name: SGD, LR: math.NaN(), Momentum: 1, ProxMu: -1, WeightDecay: math.Inf(1)},
			[]string{"lr: got NaN", "momentum: got 1", "prox_mu: got -1", "weight_decay: got +Inf"}},
		{Config{Name: SGD, LR: 1, Nesterov: true, Beta1: 0.9}, []string{"nesterov: needs momentum", "beta1: sgd does not use it"}},
		{Config{Name: Adam, LR: 1, Momentum: 0.9, Nesterov: true, Beta2: 1, Epsilon: -1},
			[]string{"momentum: adam does not use it", "nesterov: adam does not", "beta2: got 1", "epsilon: got -1"}},
	} {
		err := test.c.Validate()
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got %v, want %q", test.c, err, want)
			}
		}
		if _, err := New(test.c, 1); err == nil {
			t.Errorf("%+v: New accepted it", test.c)
		}
	}
	if _, err := New(configs["sgd"], 0); err == nil {
		t.Error("New accepted 0 parameters")
	}
}

func TestStepPanicsOnMisuse(t *testing.T) {
	plain, _ := New(configs["sgd"], 2)
	prox, _ := New(configs["prox"], 2)
	for name, call := range map[string]func(){
		"weights": func() { plain.Step(make([]float32, 1), make([]float32, 2), 1) },
		"grads":   func() { plain.Step(make([]float32, 2), make([]float32, 3), 1) },
		"anchor":  func() { prox.Step(make([]float32, 2), make([]float32, 2), 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkStep(b *testing.B) {
	const size = 545_098
	for _, name := range []string{"sgd", "nesterov", "adam", "adamw"} {
		b.Run(name, func(b *testing.B) {
			o, err := New(configs[name], size)
			if err != nil {
				b.Fatal(err)
			}
			w, g := make([]float32, size), make([]float32, size)
			for i := range g {
				w[i], g[i] = 1, float32(i%7)*0.01
			}
			b.ReportAllocs()
			for b.Loop() {
				o.Step(w, g, 1e-6)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/weight")
		})
	}
}
