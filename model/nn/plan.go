package nn

import (
	"fmt"

	"github.com/sotto-fl/sotto/model"
)

// Bounds on one architecture. They are far above what a client can train and
// far below what overflows an int or exhausts memory while shapes are checked.
const (
	maxLayers      = 256
	maxExtent      = 8192    // height, width, window, padding
	maxChannels    = 1 << 16 // channels and features
	maxName        = 64
	maxScales      = 5
	maxAngles      = 16
	maxActivations = 1 << 24 // elements of one example's activations, all layers together
	maxColumns     = 1 << 25 // elements of one example's im2col matrices, all layers together
)

// plan is a checked architecture.
type plan struct {
	steps  []step
	params []param
	layout model.Layout
	// activations and columns are the sums over layers of the elements of one
	// example's outputs and im2col matrices.
	activations, columns int
}

// step is one layer with the shapes around it.
type step struct {
	Layer
	in, out Shape
	// weight and bias index plan.params, or are -1.
	weight, bias int
}

// param is one tensor. Its canonical order is (rows, a, b) and the network's
// is (rows, b, a): for a convolution a is the input channel and b the kernel
// position, for the dense layer after a flatten a is the channel and b the
// pixel. With a or b equal to 1 the two orders are the same.
type param struct {
	name   string
	shape  []int
	rows   int
	a, b   int
	fanIn  int  // 0: a normalisation, which starts as the identity
	isBias bool // of a normalisation: starts at 0 instead of 1
}

func (a Architecture) plan() (plan, error) {
	fail := func(format string, args ...any) (plan, error) {
		return plan{}, fmt.Errorf("architecture %.64q: %s", a.Name, fmt.Sprintf(format, args...))
	}
	if a.Name == "" || len(a.Name) > maxName {
		return fail("name has %d bytes, want 1 to %d", len(a.Name), maxName)
	}
	if in := a.Input; in.C < 1 || in.C > maxChannels || in.H < 1 || in.H > maxExtent || in.W < 1 || in.W > maxExtent || in.Size() > maxActivations {
		return fail("input is %v, want channels, height and width of at least 1 and at most %d elements", in, maxActivations)
	}
	if len(a.Layers) == 0 || len(a.Layers) > maxLayers {
		return fail("%d layers, want 1 to %d", len(a.Layers), maxLayers)
	}
	p := plan{activations: a.Input.Size()}
	at := cursor{shape: a.Input}
	var count struct{ conv, fc, norm int }
	for i, l := range a.Layers {
		before := at
		if l.fixed() && i > 0 && !a.Layers[i-1].fixed() {
			return fail("layers[%d] %s: nothing in it is trained, and gradients do not pass it: put it before all other layers", i, l.Kind)
		}
		if err := at.advance(l); err != nil {
			return fail("layers[%d] %.32s: %v", i, l.Kind, err)
		}
		if p.activations += at.shape.Size(); p.activations > maxActivations {
			return fail("layers[%d] %s: activations of one example pass %d elements, use a larger stride or fewer channels", i, l.Kind, maxActivations)
		}
		if p.columns += at.columns; p.columns > maxColumns {
			return fail("layers[%d] %s: im2col matrices of one example pass %d elements, use a smaller kernel or a larger stride", i, l.Kind, maxColumns)
		}
		s := step{Layer: l, in: before.shape, out: at.shape, weight: -1, bias: -1}
		s.Stride = l.stride()
		switch l.Kind {
		case Conv2D:
			count.conv++
			name := fmt.Sprintf("conv%d", count.conv)
			in, k := before.shape.C, l.Kernel
			p.add(&s, param{name: name + ".weight", shape: []int{l.Out, in, k, k}, rows: l.Out, a: in, b: k * k, fanIn: in * k * k})
		case Dense:
			count.fc++
			name := fmt.Sprintf("fc%d", count.fc)
			in := before.shape.Size()
			p.add(&s, param{name: name + ".weight", shape: []int{l.Out, in}, rows: l.Out, a: before.channels(), b: in / before.channels(), fanIn: in})
		case GroupNorm:
			count.norm++
			name := fmt.Sprintf("norm%d", count.norm)
			p.add(&s, param{name: name + ".weight", shape: []int{at.shape.C}, rows: 1, a: at.shape.C, b: 1})
		}
		p.steps = append(p.steps, s)
	}
	if last := a.Layers[len(a.Layers)-1]; last.Kind != Dense {
		return fail("layers[%d] %s: the last layer must be dense, with one output per class", len(a.Layers)-1, last.Kind)
	}
	tensors := make([]model.Tensor, len(p.params))
	for i, q := range p.params {
		tensors[i] = model.Tensor{Name: q.name, Shape: q.shape}
	}
	var err error
	if p.layout, err = model.NewLayout(tensors); err != nil {
		return fail("%v", err)
	}
	return p, nil
}

// add appends a weight and the bias that goes with it.
func (p *plan) add(s *step, w param) {
	out := w.shape[0]
	s.weight, s.bias = len(p.params), len(p.params)+1
	stem := w.name[:len(w.name)-len("weight")]
	p.params = append(p.params, w, param{name: stem + "bias", shape: []int{out}, rows: 1, a: out, b: 1, fanIn: w.fanIn, isBias: true})
}

// cursor is the shape between two layers.
type cursor struct {
	shape Shape
	flat  bool
	// image is what a flatten flattened, until a dense layer consumes it.
	image Shape
	// columns is the size of the im2col matrix of the layer just passed.
	columns int
}

// channels is the number of channels behind flat features; 1 if their order is
// already canonical.
func (c cursor) channels() int {
	if c.image.C == 0 {
		return 1
	}
	return c.image.C
}

// advance checks l against the current shape and moves past it.
func (c *cursor) advance(l Layer) error {
	if err := l.checkFields(); err != nil {
		return err
	}
	in := c.shape
	c.columns = 0
	if c.flat && (l.Kind == Conv2D || l.Kind == MaxPool || l.Kind == AvgPool || l.Kind == Flatten) {
		return fmt.Errorf("input is flat (%d features), put this layer before the flatten layer", in.C)
	}
	switch l.Kind {
	case Conv2D:
		if in.H+2*l.Padding < l.Kernel || in.W+2*l.Padding < l.Kernel {
			return fmt.Errorf("input is %v, too small for kernel %d with padding %d, use a smaller kernel", in, l.Kernel, l.Padding)
		}
		if l.Padding >= l.Kernel {
			return fmt.Errorf("padding %d, want less than kernel %d", l.Padding, l.Kernel)
		}
		c.shape = Shape{C: l.Out, H: (in.H+2*l.Padding-l.Kernel)/l.stride() + 1, W: (in.W+2*l.Padding-l.Kernel)/l.stride() + 1}
		// At most 2^42 by 2^28: no overflow.
		depth, pixels := l.Kernel*l.Kernel*in.C, c.shape.H*c.shape.W
		if pixels > maxColumns/depth {
			return fmt.Errorf("%d outputs of %d inputs each are too many, use a smaller kernel or a larger stride", pixels, depth)
		}
		c.columns = pixels * depth
	case MaxPool, AvgPool:
		if in.H < l.Window || in.W < l.Window {
			return fmt.Errorf("input is %v, too small for window %d, use a smaller window or drop the layer", in, l.Window)
		}
		c.shape = Shape{C: in.C, H: (in.H-l.Window)/l.stride() + 1, W: (in.W-l.Window)/l.stride() + 1}
	case Flatten:
		*c = cursor{shape: Shape{C: in.Size(), H: 1, W: 1}, flat: true, image: in}
	case Dense:
		if !c.flat {
			return fmt.Errorf("input is %v, put a flatten layer before it", in)
		}
		*c = cursor{shape: Shape{C: l.Out, H: 1, W: 1}, flat: true}
	case Scattering:
		stride := 1 << l.Scales
		if in.H%stride != 0 || in.W%stride != 0 {
			return fmt.Errorf("input is %v, want height and width that %d scales halve evenly", in, l.Scales)
		}
		c.shape = Shape{C: in.C * (1 + l.Scales*l.Angles), H: in.H / stride, W: in.W / stride}
	case Standardize:
		if in.C%l.Groups != 0 {
			return fmt.Errorf("%d groups do not divide %d channels evenly", l.Groups, in.C)
		}
	case GroupNorm:
		if c.image.H*c.image.W > 1 {
			return fmt.Errorf("groups of flattened pixels have no channels, put it before the flatten layer or after the next dense layer")
		}
		if in.C%l.Groups != 0 {
			return fmt.Errorf("%d groups do not divide %d channels evenly", l.Groups, in.C)
		}
	}
	return nil
}

// checkFields checks that exactly the fields of l.Kind are set, within bounds.
func (l Layer) checkFields() error {
	type rule struct {
		name     string
		value    int
		used     bool
		min, max int
	}
	conv, pool := l.Kind == Conv2D, l.Kind == MaxPool || l.Kind == AvgPool
	switch l.Kind {
	case Conv2D, MaxPool, AvgPool, Dense, GroupNorm, ReLU, Tanh, Flatten, Scattering, Standardize:
	default:
		return fmt.Errorf("unknown kind, want conv2d, max_pool, avg_pool, dense, group_norm, relu, tanh, flatten, scattering or standardize")
	}
	for _, r := range []rule{
		{"out", l.Out, conv || l.Kind == Dense, 1, maxChannels},
		{"kernel", l.Kernel, conv, 1, maxExtent},
		{"window", l.Window, pool, 1, maxExtent},
		{"stride", l.Stride, conv || pool, 0, maxExtent},
		{"padding", l.Padding, conv, 0, maxExtent},
		{"groups", l.Groups, l.Kind == GroupNorm || l.Kind == Standardize, 1, maxChannels},
		{"scales", l.Scales, l.Kind == Scattering, 1, maxScales},
		{"angles", l.Angles, l.Kind == Scattering, 1, maxAngles},
	} {
		if !r.used && r.value != 0 {
			return fmt.Errorf("%s is set to %d, but this kind has no such field, remove it", r.name, r.value)
		}
		if r.used && (r.value < r.min || r.value > r.max) {
			return fmt.Errorf("%s is %d, want %d to %d", r.name, r.value, max(1, r.min), r.max)
		}
	}
	return nil
}
