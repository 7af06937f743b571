package nn

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model"
)

func TestNamed(t *testing.T) {
	for name, want := range map[string]struct {
		params int
		exact  bool
		first  string
		shape  []int
	}{
		"cifar-cnn": {545098, true, "conv1.weight", []int{32, 3, 3, 3}},
		"dp-cnn":    {26010, true, "conv1.weight", []int{16, 1, 8, 8}},
		"mnist-cnn": {60000, false, "conv1.weight", []int{16, 1, 5, 5}},

		"scatter-linear": {8340, true, "fc1.weight", []int{10, 17 * 7 * 7}},
	} {
		a, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := a.Layout()
		if err != nil {
			t.Fatal(err)
		}
		if l.Size() > want.params || want.exact && l.Size() != want.params {
			t.Errorf("%s has %d parameters, want %d (exactly: %v)", name, l.Size(), want.params, want.exact)
		}
		if first := l.Tensors()[0]; first.Name != want.first || !cmp.Equal(first.Shape, want.shape) {
			t.Errorf("%s starts with %s %v, want %s %v", name, first.Name, first.Shape, want.first, want.shape)
		}
		if a.Classes() != 10 {
			t.Errorf("%s has %d classes, want 10", name, a.Classes())
		}
		a.Layers[0].Out = 1
		if again, _ := Named(name); again.Layers[0].Out == 1 {
			t.Errorf("a caller changed %s", name)
		}
	}
	if _, err := Named("lenet"); err == nil || err.Error() != `architecture "lenet" is unknown, want one of cifar-cnn, dp-cnn, mnist-cnn, scatter-linear` {
		t.Errorf("error is %v", err)
	}
}

func TestParseArchitecture(t *testing.T) {
	text, err := os.ReadFile("testdata/tiny-cnn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseArchitecture(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Layout()
	if err != nil {
		t.Fatal(err)
	}
	want := []model.Tensor{
		{Name: "conv1.weight", Shape: []int{8, 1, 5, 5}, Size: 200},
		{Name: "conv1.bias", Shape: []int{8}, Offset: 200, Size: 8},
		{Name: "norm1.weight", Shape: []int{8}, Offset: 208, Size: 8},
		{Name: "norm1.bias", Shape: []int{8}, Offset: 216, Size: 8},
		{Name: "conv2.weight", Shape: []int{16, 8, 3, 3}, Offset: 224, Size: 1152},
		{Name: "conv2.bias", Shape: []int{16}, Offset: 1376, Size: 16},
		{Name: "fc1.weight", Shape: []int{32, 144}, Offset: 1392, Size: 4608},
		{Name: "fc1.bias", Shape: []int{32}, Offset: 6000, Size: 32},
		{Name: "fc2.weight", Shape: []int{10, 32}, Offset: 6032, Size: 320},
		{Name: "fc2.bias", Shape: []int{10}, Offset: 6352, Size: 10},
	}
	if diff := cmp.Diff(want, l.Tensors()); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
	// A default written out is the same architecture, in its encoding too.
	plain, err := ParseArchitecture([]byte(strings.Replace(string(text), "stride: 1, ", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	b1, _ := json.Marshal(a)
	b2, _ := json.Marshal(plain)
	if string(b1) != string(b2) {
		t.Errorf("encodings differ:\n%s\n%s", b1, b2)
	}
	var back Architecture
	if err := json.Unmarshal(b1, &back); err != nil || !cmp.Equal(a, back) {
		t.Errorf("JSON gives back %+v, want %+v (%v)", back, a, err)
	}
	n, err := New(a, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(n.Forward(make([]float32, 2*28*28), 2)); got != 20 {
		t.Errorf("%d scores, want 20", got)
	}
}

func TestParseArchitectureRefuses(t *testing.T) {
	const head = "name: x\ninput: {channels: 1, height: 28, width: 28}\nlayers:\n"
	const tail = "  - {kind: flatten}\n  - {kind: dense, out: 10}\n"
	if _, err := ParseArchitecture([]byte(head + tail)); err != nil {
		t.Fatalf("the base of the cases is refused: %v", err)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"empty":                   {"", "empty"},
		"unknown key":             {head + "  - {kind: relu, slope: 1}\n" + tail, "line 4: field slope not found"},
		"unknown top key":         {head + tail + "optimizer: sgd\n", "line 6: field optimizer not found"},
		"repeated key":            {head + "  - {kind: relu, kind: relu}\n" + tail, "already"},
		"second document":         {head + tail + "---\nname: y\n", "follows the first YAML document"},
		"not a number":            {head + "  - {kind: dense, out: ten}\n" + tail, "line 4"},
		"huge text":               {strings.Repeat("#", maxYAML+1), "at most"},
		"no name":                 {"input: {channels: 1, height: 2, width: 2}\nlayers:\n" + tail, "name has 0 bytes"},
		"no input":                {"name: x\nlayers:\n" + tail, "input is 0x0x0"},
		"huge input":              {"name: x\ninput: {channels: 9000000000000000000, height: 9, width: 9}\nlayers:\n" + tail, "input is"},
		"large input":             {"name: x\ninput: {channels: 3, height: 8192, width: 8192}\nlayers:\n" + tail, "at most 16777216 elements"},
		"no layers":               {"name: x\ninput: {channels: 1, height: 2, width: 2}\n", "0 layers"},
		"too many layers":         {head + strings.Repeat("  - {kind: relu}\n", maxLayers) + tail, "258 layers, want 1 to 256"},
		"unknown kind":            {head + "  - {kind: lstm}\n" + tail, "layers[0] lstm: unknown kind, want conv2d"},
		"last not dense":          {head + tail + "  - {kind: relu}\n", "layers[2] relu: the last layer must be dense"},
		"dense on image":          {head + "  - {kind: conv2d, out: 32, kernel: 3}\n  - {kind: dense, out: 10}\n", "layers[1] dense: input is 32x26x26, put a flatten layer before it"},
		"conv after flatten":      {head + "  - {kind: flatten}\n  - {kind: conv2d, out: 3, kernel: 1}\n", "layers[1] conv2d: input is flat (784 features), put this layer before the flatten layer"},
		"flatten twice":           {head + "  - {kind: flatten}\n" + tail, "layers[1] flatten: input is flat"},
		"missing field":           {head + "  - {kind: conv2d, out: 3}\n" + tail, "layers[0] conv2d: kernel is 0, want 1 to 8192"},
		"foreign field":           {head + "  - {kind: relu, out: 3}\n" + tail, "layers[0] relu: out is set to 3, but this kind has no such field"},
		"negative stride":         {head + "  - {kind: max_pool, window: 2, stride: -1}\n" + tail, "stride is -1, want 1 to 8192"},
		"kernel too large":        {head + "  - {kind: conv2d, out: 1, kernel: 31, padding: 1}\n" + tail, "too small for kernel 31 with padding 1"},
		"padding too large":       {head + "  - {kind: conv2d, out: 1, kernel: 3, padding: 3}\n" + tail, "padding 3, want less than kernel 3"},
		"window too large":        {head + "  - {kind: max_pool, window: 29}\n" + tail, "layers[0] max_pool: input is 1x28x28, too small for window 29"},
		"groups":                  {head + "  - {kind: conv2d, out: 6, kernel: 3}\n  - {kind: group_norm, groups: 4}\n" + tail, "layers[1] group_norm: 4 groups do not divide 6 channels"},
		"norm of pixels":          {head + "  - {kind: flatten}\n  - {kind: group_norm, groups: 4}\n  - {kind: dense, out: 10}\n", "put it before the flatten layer"},
		"too many parameters":     {head + "  - {kind: flatten}\n  - {kind: dense, out: 65536}\n  - {kind: dense, out: 65536}\n", "want dimensions >= 1 and at most"},
		"too many outputs":        {head + "  - {kind: conv2d, out: 65536, kernel: 1}\n" + tail, "layers[0] conv2d: activations of one example pass"},
		"too many columns":        {"name: x\ninput: {channels: 1, height: 1024, width: 1024}\nlayers:\n  - {kind: conv2d, out: 1, kernel: 33, padding: 16}\n" + tail, "use a smaller kernel or a larger stride"},
		"too many columns in all": {head + strings.Repeat("  - {kind: conv2d, out: 64, kernel: 9, padding: 4}\n", 10) + tail, "im2col matrices of one example pass"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseArchitecture([]byte(c.yaml))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestNewRefusesBatch(t *testing.T) {
	a, _ := Named("cifar-cnn")
	for _, batch := range []int{-1, 0, math.MaxInt} {
		if _, err := New(a, batch); err == nil {
			t.Errorf("batch %d accepted", batch)
		}
	}
}

// No accepted architecture may need unbounded memory or crash.
func FuzzParseArchitecture(f *testing.F) {
	text, err := os.ReadFile("testdata/tiny-cnn.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("name: x\ninput: {channels: 1, height: 1, width: 1}\nlayers: [{kind: flatten}, {kind: dense, out: 1}]\n"))
	f.Add([]byte("name: x\ninput: &a {channels: 65536, height: 8192, width: 8192}\nlayers: [{kind: conv2d, out: 65536, kernel: 8192, stride: 8192, padding: 8191}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseArchitecture(text)
		if err != nil {
			return
		}
		l, err := a.Layout()
		if err != nil {
			t.Fatalf("parsed, but has no layout: %v", err)
		}
		if l.Size() > 1<<16 || a.Input.Size() > 1<<12 {
			return
		}
		if p, _ := a.plan(); p.activations > 1<<16 || p.columns > 1<<20 {
			return
		}
		n, err := New(a, 1)
		if err != nil {
			t.Fatalf("parsed, but New: %v", err)
		}
		n.Gradient(make([]float32, a.Input.Size()), []int32{0})
	})
}

func TestInit(t *testing.T) {
	a, _ := Named("cifar-cnn")
	m, err := a.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := a.Init(1)
	other, _ := a.Init(2)
	if m.SHA256() != again.SHA256() || m.SHA256() == other.SHA256() {
		t.Error("the model is not a function of the root, or not of the root at all")
	}
	// Uniform in ±b has standard deviation b/sqrt 3; 524,288 draws estimate it
	// to 0.1 %.
	bound := 1 / math.Sqrt(4096)
	w := m.View("fc1.weight")
	var top float64
	for _, v := range w {
		top = max(top, math.Abs(float64(v)))
	}
	if top > bound || top < 0.999*bound {
		t.Errorf("largest weight is %v, want just under %v", top, bound)
	}
	if std := l2(w) / math.Sqrt(float64(len(w))); math.Abs(std-bound/math.Sqrt(3)) > 0.01*bound {
		t.Errorf("standard deviation is %v, want %v", std, bound/math.Sqrt(3))
	}
	// The bias takes the fan in of its weight, as in PyTorch.
	for _, v := range m.View("fc1.bias") {
		if math.Abs(float64(v)) > bound {
			t.Errorf("bias %v exceeds %v", v, bound)
		}
	}
}
