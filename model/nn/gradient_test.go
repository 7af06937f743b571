package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/model"
)

// randomArchitecture draws an odd-shaped network around one layer of the given
// kind, with a convolution below it, so that its input gradient is checked too.
func randomArchitecture(r *rand.Rand, kind Kind) Architecture {
	for {
		a := Architecture{Name: "random", Input: Shape{C: 1 + r.IntN(3), H: 3 + r.IntN(8), W: 3 + r.IntN(8)}}
		conv := func(out int) Layer {
			k := 1 + r.IntN(4)
			return Layer{Kind: Conv2D, Out: out, Kernel: k, Stride: 1 + r.IntN(3), Padding: r.IntN(k)}
		}
		groups := 1 + r.IntN(3)
		l := Layer{Kind: kind}
		switch kind {
		case Conv2D:
			l = conv(1 + r.IntN(5))
		case MaxPool, AvgPool:
			l.Window, l.Stride = 1+r.IntN(3), r.IntN(4)
		case GroupNorm:
			l.Groups = groups
		case Dense:
			l.Out = 1 + r.IntN(6)
		}
		a.Layers = []Layer{conv(groups * (1 + r.IntN(2)))}
		switch {
		case kind == Flatten:
			a.Layers = append(a.Layers, l)
		case kind == Dense:
			a.Layers = append(a.Layers, Layer{Kind: Flatten}, l)
		default:
			a.Layers = append(a.Layers, l, Layer{Kind: Flatten})
		}
		if r.IntN(2) == 0 { // between flatten and dense, in the network's own order
			a.Layers = append(a.Layers, Layer{Kind: Tanh})
		}
		a.Layers = append(a.Layers, Layer{Kind: Dense, Out: 2 + r.IntN(3)})
		if a.Validate() == nil {
			return a
		}
	}
}

func TestGradientsByCentralDifferences(t *testing.T) {
	onEachPath(t, testGradientsByCentralDifferences)
}

func testGradientsByCentralDifferences(t *testing.T) {
	for i, kind := range []Kind{Conv2D, MaxPool, AvgPool, Dense, GroupNorm, ReLU, Tanh, Flatten} {
		t.Run(string(kind), func(t *testing.T) {
			r := rand.New(rand.NewPCG(20, uint64(i)))
			for range 25 {
				checkGradient(t, r, randomArchitecture(r, kind))
			}
		})
	}
}

// The reference takes seconds for these, so one path stands for all:
// TestPathsAgree compares them.
func TestGradientsOfNamedNetworks(t *testing.T) {
	for _, a := range named {
		if a.Name == "cifar-cnn" || a.Name == "scatter-linear" {
			continue // TestGolden; TestScattering
		}
		t.Run(a.Name, func(t *testing.T) { checkGradient(t, rand.New(rand.NewPCG(21, 1)), a) })
	}
}

func checkGradient(t *testing.T, r *rand.Rand, a Architecture) {
	t.Helper()
	batch := 1 + r.IntN(5)
	n, err := New(a, batch+r.IntN(3))
	if err != nil {
		t.Fatal(err)
	}
	m := model.New(n.Layout())
	params, x := make([]float64, len(m.Params)), make([]float64, batch*a.Input.Size())
	x32 := make([]float32, len(x))
	for i := range params {
		m.Params[i] = float32(r.NormFloat64() * 0.4)
		params[i] = float64(m.Params[i])
	}
	for i := range x {
		x32[i] = float32(r.NormFloat64())
		x[i] = float64(x32[i])
	}
	labels := make([]int32, batch)
	for i := range labels {
		labels[i] = int32(r.IntN(a.Classes()))
	}
	if err := n.Import(m.Params); err != nil {
		t.Fatal(err)
	}
	sum, _ := n.Gradient(x32, labels)
	want := reference(a, params, x, labels)
	if got := sum / float64(batch); math.Abs(got-want) > 1e-5*max(1, want) {
		t.Fatalf("%+v: loss is %v, want %v", a, got, want)
	}
	got := make([]float32, len(m.Params))
	if err := n.ExportGrads(got); err != nil {
		t.Fatal(err)
	}
	for _, tensor := range m.Layout.Tensors() {
		// At most 24 elements of each tensor, spread over it.
		for at := tensor.Offset; at < tensor.Offset+tensor.Size; at += 1 + tensor.Size/24 {
			const h = 1e-6
			old := params[at]
			params[at] = old + h
			up := reference(a, params, x, labels)
			params[at] = old - h
			down := reference(a, params, x, labels)
			params[at] = old
			if want := (up - down) / (2 * h); math.Abs(float64(got[at])-want) > 2e-5*max(1, math.Abs(want)) {
				t.Fatalf("%+v batch %d: gradient of %s at %d is %v, want %v", a, batch, tensor.Name, at-tensor.Offset, got[at], want)
			}
		}
	}
}

func TestMaxPoolTiesAndNaN(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		x    []float32 // one window of 2x2, row-major
		want int       // position that takes the gradient
	}{
		"distinct":        {[]float32{1, 4, 3, 2}, 1},
		"all equal":       {[]float32{5, 5, 5, 5}, 0},
		"tie below":       {[]float32{1, 2, 2, 2}, 1},
		"negative":        {[]float32{-4, -3, -2, -3}, 2},
		"zeros of a ReLU": {[]float32{0, 0, 0, 0}, 0},
		"signed zeros":    {[]float32{float32(math.Copysign(0, -1)), 0, 0, 0}, 0},
		"NaN first":       {[]float32{nan, 9, 9, 9}, 0},
		"NaN inside":      {[]float32{9, nan, 9, 9}, 1},
		"two NaN":         {[]float32{9, nan, nan, 9}, 2},
		"infinities":      {[]float32{float32(math.Inf(-1)), float32(math.Inf(-1)), float32(math.Inf(1)), float32(math.Inf(1))}, 2},
	} {
		l := &maxPool{
			step: step{Layer: Layer{Window: 2, Stride: 2}, in: Shape{C: 1, H: 2, W: 2}, out: Shape{C: 1, H: 1, W: 1}},
			y:    make([]float32, 1), argmax: make([]int32, 1),
		}
		y := l.forward(c.x, 1)
		dx := make([]float32, 4)
		l.backward([]float32{1}, dx, 1)
		want := make([]float32, 4)
		want[c.want] = 1
		if !slices.Equal(dx, want) {
			t.Errorf("%s: gradient goes to %v, want position %d", name, dx, c.want)
		}
		if w := c.x[c.want]; y[0] != w && !(y[0] != y[0] && w != w) {
			t.Errorf("%s: output is %v, want %v", name, y[0], w)
		}
	}
}

// Overlapping windows may choose the same input, which then takes both.
func TestMaxPoolOverlap(t *testing.T) {
	l := &maxPool{
		step: step{Layer: Layer{Window: 2, Stride: 1}, in: Shape{C: 1, H: 2, W: 3}, out: Shape{C: 1, H: 1, W: 2}},
		y:    make([]float32, 2), argmax: make([]int32, 2),
	}
	l.forward([]float32{0, 9, 0, 0, 0, 0}, 1)
	dx := make([]float32, 6)
	l.backward([]float32{2, 3}, dx, 1)
	if want := []float32{0, 5, 0, 0, 0, 0}; !slices.Equal(dx, want) {
		t.Errorf("gradient is %v, want %v", dx, want)
	}
}

// The gradient is softmax minus the label, for few classes and for many.
func TestCrossEntropyGradient(t *testing.T) {
	for _, classes := range []int{2, 64, 65, 200} {
		row, grad, label := make([]float32, classes), make([]float32, classes), int32(classes-1)
		sum := 0.0
		for i := range row {
			row[i] = float32(i%7) / 3
			sum += math.Exp(float64(row[i]))
		}
		loss, _ := crossEntropy(grad, row, []int32{label}, classes, 0.5)
		if want := math.Log(sum) - float64(row[label]); math.Abs(loss-want) > 1e-9 {
			t.Errorf("%d classes: loss is %v, want %v", classes, loss, want)
		}
		for i, v := range row {
			want := math.Exp(float64(v)) / sum
			if i == int(label) {
				want--
			}
			if math.Abs(float64(grad[i])-want/2) > 1e-7 {
				t.Errorf("%d classes: gradient %d is %v, want %v", classes, i, grad[i], want/2)
			}
		}
	}
}

func TestCrossEntropyExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for name, c := range map[string]struct {
		row     []float32
		loss    float64
		correct int
	}{
		"tie goes to the first": {[]float32{1, 1}, math.Ln2, 0},
		"no overflow":           {[]float32{0, 3e38}, 0, 1},
		"no underflow":          {[]float32{3e38, 0}, 3e38, 0},
		"infinite":              {[]float32{0, inf}, math.NaN(), 1},
		"NaN":                   {[]float32{nan, 5}, math.NaN(), 0},
	} {
		grad := make([]float32, 2)
		loss, correct := crossEntropy(grad, c.row, []int32{1}, 2, 1)
		if correct != c.correct {
			t.Errorf("%s: correct is %d, want %d", name, correct, c.correct)
		}
		if math.IsNaN(loss) != math.IsNaN(c.loss) || math.Abs(loss-c.loss) > 1e-6*math.Max(1, c.loss) {
			t.Errorf("%s: loss is %v, want %v", name, loss, c.loss)
		}
	}
}

func TestImportExport(t *testing.T) { onEachPath(t, testImportExport) }

func testImportExport(t *testing.T) {
	for _, name := range []string{"cifar-cnn", "mnist-cnn"} {
		a, _ := Named(name)
		m, err := a.Init(3)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := New(a, 1)
		if err := n.Import(m.Params); err != nil {
			t.Fatal(err)
		}
		back := make([]float32, len(m.Params))
		if err := n.Export(back); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back, m.Params) {
			t.Errorf("%s: Export does not invert Import", name)
		}
		if err := n.Import(back[1:]); err == nil {
			t.Errorf("%s: too few parameters imported", name)
		}
		if err := n.Export(back[1:]); err == nil {
			t.Errorf("%s: exported into too short a slice", name)
		}
	}
}

// An example's scores do not depend on its place in a batch, on the batch's
// size or on the network's, although convolutions run in chunks.
func TestScoresDoNotDependOnBatching(t *testing.T) {
	a, _ := Named("cifar-cnn")
	m, _ := a.Init(5)
	const batch = 9
	x := make([]float32, batch*a.Input.Size())
	fill(x, 1, 0.5)
	big, _ := New(a, batch)
	_ = big.Import(m.Params)
	want := slices.Clone(big.Forward(x, batch))
	one, _ := New(a, 1)
	_ = one.Import(m.Params)
	for e := range batch {
		got := one.Forward(x[e*a.Input.Size():(e+1)*a.Input.Size()], 1)
		if !slices.Equal(got, want[e*10:(e+1)*10]) {
			t.Fatalf("example %d scores %v alone and %v in a batch", e, got, want[e*10:(e+1)*10])
		}
	}
}

// Buffers of an earlier, larger batch leave no trace.
func TestStepIsRepeatable(t *testing.T) { onEachPath(t, testStepIsRepeatable) }

func testStepIsRepeatable(t *testing.T) {
	a, err := ParseArchitecture([]byte("name: x\ninput: {channels: 2, height: 9, width: 7}\nlayers: [{kind: conv2d, out: 4, kernel: 3, padding: 2}, {kind: group_norm, groups: 2}, {kind: relu}, {kind: max_pool, window: 3, stride: 2}, {kind: conv2d, out: 5, kernel: 2}, {kind: tanh}, {kind: avg_pool, window: 2, stride: 1}, {kind: flatten}, {kind: dense, out: 3}]"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := a.Init(1)
	x := make([]float32, 6*a.Input.Size())
	fill(x, 1, 0)
	run := func(n *Network) []float32 {
		n.Gradient(x[:2*a.Input.Size()], []int32{2, 1})
		return slices.Clone(n.Grads())
	}
	fresh, _ := New(a, 6)
	_ = fresh.Import(m.Params)
	used, _ := New(a, 6)
	_ = used.Import(m.Params)
	used.Gradient(x, []int32{0, 1, 2, 0, 1, 2})
	if !slices.Equal(run(fresh), run(used)) {
		t.Error("the gradient depends on what ran before")
	}
}

func TestNoAllocationAfterNew(t *testing.T) { onEachPath(t, testNoAllocationAfterNew) }

func testNoAllocationAfterNew(t *testing.T) {
	text := "name: x\ninput: {channels: 3, height: 12, width: 12}\nlayers: [{kind: conv2d, out: 4, kernel: 3}, {kind: group_norm, groups: 2}, {kind: tanh}, {kind: avg_pool, window: 2}, {kind: relu}, {kind: max_pool, window: 2}, {kind: flatten}, {kind: dense, out: 3}]"
	custom, err := ParseArchitecture([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(slices.Clone(named), custom) {
		m, _ := a.Init(1)
		n, _ := New(a, 4)
		_ = n.Import(m.Params)
		x := make([]float32, 4*a.Input.Size())
		fill(x, 1, 0)
		out := make([]float32, len(m.Params))
		if allocs := testing.AllocsPerRun(3, func() {
			n.Gradient(x, []int32{0, 1, 2, 0})
			n.Evaluate(x, []int32{0, 1, 2, 0})
			if n.simd != nil {
				n.ClippedGradient(x, []int32{0, 1, 2, 0}, 1, 0.25, nil)
			}
			_ = n.Import(m.Params)
			_ = n.Export(out)
		}); allocs != 0 {
			t.Errorf("%s: %v allocations a step, want 0", a.Name, allocs)
		}
	}
}

func TestReLUEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x := []float32{-1, float32(math.Copysign(0, -1)), 0, math.SmallestNonzeroFloat32, 2, -inf, inf, nan}
	l := &relu{size: len(x), y: make([]float32, len(x))}
	y := l.forward(x, 1)
	dy, dx := make([]float32, len(x)), make([]float32, len(x))
	for i := range dy {
		dy[i] = -3
	}
	l.backward(dy, dx, 1)
	wantY, wantX := []float32{0, 0, 0, math.SmallestNonzeroFloat32, 2, 0, inf, nan}, []float32{0, 0, 0, -3, -3, 0, -3, -3}
	for i := range x {
		// Bits, because the backward pass relies on zeros being +0.
		if math.Float32bits(y[i]) != math.Float32bits(wantY[i]) && wantY[i] == wantY[i] || dx[i] != wantX[i] {
			t.Errorf("relu(%v) is %v with gradient %v, want %v with %v", x[i], y[i], dx[i], wantY[i], wantX[i])
		}
	}
}
