package nn

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/kernel"
)

// golden is the reference made with PyTorch in float64; its note field says
// how its tensors are filled.
type golden struct {
	Parameters []struct {
		Name         string
		Shape        []int
		Scale, Phase float64
	}
	Logits    [][]float64
	Loss      float64
	Gradients map[string]struct {
		L2, Sum float64
		Index   []int
		Value   []float64
	}
	PerExample []float64            `json:"per_example_gradient_l2"`
	Curves     map[string][]float64 `json:"loss_curves"`
}

func readGolden(t *testing.T, path string) golden {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// fill writes the elements that the golden file's note defines.
func fill(dst []float32, scale, phase float64) {
	for k := range dst {
		dst[k] = float32(scale * math.Sin(0.7310585786*float64(k+1)+phase) * math.Cos(0.0123456789*float64(k+1)*float64(k%7+1)))
	}
}

// goldenNetwork returns cifar-cnn with the golden parameters and batch.
func goldenNetwork(t *testing.T, g golden) (n *Network, m *model.Model, x []float32, labels []int32) {
	t.Helper()
	a, err := Named("cifar-cnn")
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Layout()
	if err != nil {
		t.Fatal(err)
	}
	m = model.New(l)
	for _, p := range g.Parameters {
		got, ok := l.Lookup(p.Name)
		if !ok || !slices.Equal(got.Shape, p.Shape) {
			t.Fatalf("layout has %s %v, want %v", p.Name, got.Shape, p.Shape)
		}
		fill(m.View(p.Name), p.Scale, p.Phase)
	}
	if len(l.Tensors()) != len(g.Parameters) {
		t.Fatalf("layout has %d tensors, want %d", len(l.Tensors()), len(g.Parameters))
	}
	const batch = 8
	if n, err = New(a, batch); err != nil {
		t.Fatal(err)
	}
	if err := n.Import(m.Params); err != nil {
		t.Fatal(err)
	}
	x = make([]float32, batch*a.Input.Size())
	fill(x, 1, 0.25)
	for i := range batch {
		labels = append(labels, int32((3*i+1)%10))
	}
	return n, m, x, labels
}

func l2(v []float32) float64 {
	var s float64
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

func TestGolden(t *testing.T) { onEachPath(t, testGolden) }

func testGolden(t *testing.T) {
	g := readGolden(t, "testdata/cnn_pytorch.json")
	n, m, x, labels := goldenNetwork(t, g)
	logits := n.Forward(x, len(labels))
	var scale float64
	for _, row := range g.Logits {
		for _, v := range row {
			scale = max(scale, math.Abs(v))
		}
	}
	for i, row := range g.Logits {
		for j, want := range row {
			if got := float64(logits[i*10+j]); math.Abs(got-want) > 1e-4*scale {
				t.Errorf("logit (%d,%d) is %v, want %v", i, j, got, want)
			}
		}
	}
	lossSum, _ := n.Gradient(x, labels)
	if got := lossSum / float64(len(labels)); math.Abs(got-g.Loss) > 1e-5*g.Loss {
		t.Errorf("loss is %v, want %v", got, g.Loss)
	}
	grads := model.New(m.Layout)
	if err := n.ExportGrads(grads.Params); err != nil {
		t.Fatal(err)
	}
	for name, want := range g.Gradients {
		got := grads.View(name)
		if norm := l2(got); math.Abs(norm-want.L2) > 1e-4*want.L2 {
			t.Errorf("gradient of %s has norm %v, want %v", name, norm, want.L2)
		}
		// The largest listed element sets the scale: an element near zero is a
		// difference of larger ones.
		var top, sum float64
		for _, v := range want.Value {
			top = max(top, math.Abs(v))
		}
		for i, at := range want.Index {
			if math.Abs(float64(got[at])-want.Value[i]) > 1e-4*top {
				t.Errorf("gradient of %s at %d is %v, want %v", name, at, got[at], want.Value[i])
			}
		}
		for _, v := range got {
			sum += float64(v)
		}
		if math.Abs(sum-want.Sum) > 1e-4*math.Sqrt(float64(len(got)))*want.L2 {
			t.Errorf("gradient of %s sums to %v, want %v", name, sum, want.Sum)
		}
	}
}

// The reference updates in float64; the package optim has its own tests.
func TestGoldenLossCurves(t *testing.T) {
	path := kernel.Name()
	onEachPath(t, func(t *testing.T) { testGoldenLossCurves(t, path) })
}

func testGoldenLossCurves(t *testing.T, path string) {
	g := readGolden(t, "testdata/cnn_pytorch.json")
	type state struct{ w, grad, u, v float64 }
	const momentum, beta1, beta2, epsilon = 0.9, 0.9, 0.999, 1e-8
	adam := func(s *state, step int, lr, decay float64) {
		s.w -= lr * decay * s.w
		s.u = beta1*s.u + (1-beta1)*s.grad
		s.v = beta2*s.v + (1-beta2)*s.grad*s.grad
		s.w -= lr * s.u / (1 - math.Pow(beta1, float64(step))) / (math.Sqrt(s.v/(1-math.Pow(beta2, float64(step)))) + epsilon)
	}
	updates := map[string]func(s *state, step int){
		"sgd lr=0.05":              func(s *state, _ int) { s.w -= 0.05 * s.grad },
		"sgd lr=0.05 momentum=0.9": func(s *state, _ int) { s.u = momentum*s.u + s.grad; s.w -= 0.05 * s.u },
		"sgd lr=0.05 momentum=0.9 nesterov weight_decay=0.001": func(s *state, _ int) {
			d := s.grad + 0.001*s.w
			s.u = momentum*s.u + d
			s.w -= 0.05 * (d + momentum*s.u)
		},
		"adam lr=0.001":                    func(s *state, step int) { adam(s, step, 0.001, 0) },
		"adamw lr=0.001 weight_decay=0.01": func(s *state, step int) { adam(s, step, 0.001, 0.01) },
	}
	if len(g.Curves) != len(updates) {
		t.Fatalf("golden file has %d curves, the test %d", len(g.Curves), len(updates))
	}
	for name, want := range g.Curves {
		update, ok := updates[name]
		if !ok {
			t.Fatalf("no update for curve %q", name)
		}
		if kernel.Name() != path && name != "sgd lr=0.05 momentum=0.9" {
			continue // one curve shows that a path trains; all of them check the rules
		}
		t.Run(strings.ReplaceAll(name, " ", ","), func(t *testing.T) {
			n, _, x, labels := goldenNetwork(t, g)
			states := make([]state, len(n.Weights()))
			for step, want := range want {
				sum, _ := n.Gradient(x, labels)
				if got := sum / float64(len(labels)); math.Abs(got-want) > 1e-3 {
					t.Fatalf("loss after %d steps is %v, want %v", step, got, want)
				}
				for i := range states {
					s := &states[i]
					s.w, s.grad = float64(n.Weights()[i]), float64(n.Grads()[i])
					update(s, step+1)
					n.Weights()[i] = float32(s.w)
				}
			}
		})
	}
}

func TestGoldenCopyIsCurrent(t *testing.T) {
	const source = "../../../shared/golden/cnn_pytorch.json"
	if _, err := os.Stat(source); err != nil {
		t.Skip("the golden data is not next to the repository: ", err)
	}
	if diff := cmp.Diff(readGolden(t, source), readGolden(t, "testdata/cnn_pytorch.json")); diff != "" {
		t.Errorf("testdata differs from %s (-source +copy):\n%s", source, diff)
	}
}
