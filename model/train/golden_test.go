package train

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// goldenFile was made with PyTorch in float64; its note says how the tensors are
// filled. Package nn keeps the copy and checks that it is current.
const goldenFile = "../nn/testdata/cnn_pytorch.json"

func fill(dst []float32, scale, phase float64) {
	for k := range dst {
		dst[k] = float32(scale * math.Sin(0.7310585786*float64(k+1)+phase) * math.Cos(0.0123456789*float64(k+1)*float64(k%7+1)))
	}
}

// Network and optimiser together follow PyTorch's five loss curves.
func TestGoldenLossCurves(t *testing.T) {
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Parameters []struct {
			Name         string
			Scale, Phase float64
		}
		Curves map[string][]float64 `json:"loss_curves"`
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	optimizers := map[string]optim.Config{
		"sgd lr=0.05":              {Name: optim.SGD, LR: 0.05},
		"sgd lr=0.05 momentum=0.9": {Name: optim.SGD, LR: 0.05, Momentum: 0.9},
		"sgd lr=0.05 momentum=0.9 nesterov weight_decay=0.001": {Name: optim.SGD, LR: 0.05, Momentum: 0.9, Nesterov: true, WeightDecay: 0.001},
		"adam lr=0.001":                    {Name: optim.Adam, LR: 0.001},
		"adamw lr=0.001 weight_decay=0.01": {Name: optim.AdamW, LR: 0.001, WeightDecay: 0.01},
	}
	if len(golden.Curves) != len(optimizers) {
		t.Fatalf("golden file has %d curves, the test %d", len(golden.Curves), len(optimizers))
	}
	a, err := nn.Named("cifar-cnn")
	if err != nil {
		t.Fatal(err)
	}
	layout, err := a.Layout()
	if err != nil {
		t.Fatal(err)
	}
	const batch = 8
	x, labels := make([]float32, batch*a.Input.Size()), make([]int32, batch)
	fill(x, 1, 0.25)
	for i := range labels {
		labels[i] = int32((3*i + 1) % 10)
	}
	for name, curve := range golden.Curves {
		t.Run(strings.ReplaceAll(name, " ", ","), func(t *testing.T) {
			c, ok := optimizers[name]
			if !ok {
				t.Fatalf("no optimiser for curve %q", name)
			}
			m := model.New(layout)
			for _, p := range golden.Parameters {
				fill(m.View(p.Name), p.Scale, p.Phase)
			}
			n, err := nn.New(a, batch)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.Import(m.Params); err != nil {
				t.Fatal(err)
			}
			o, err := optim.New(c, layout.Size())
			if err != nil {
				t.Fatal(err)
			}
			for step, want := range curve {
				sum, _ := n.Gradient(x, labels)
				if got := sum / batch; math.Abs(got-want) > 1e-3 {
					t.Fatalf("loss after %d steps is %v, want %v", step, got, want)
				}
				o.Step(n.Weights(), n.Grads(), c.LR)
			}
		})
	}
}
