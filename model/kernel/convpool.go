package kernel

import "fmt"

// ConvPool is a convolution and the 2x2 max pool behind it in one: the four outputs
// under a pooled pixel never leave the registers. It is for windows of few inputs,
// as first layers have, whose outputs would take about as long to write and to pool
// as to compute. A ConvPool is one goroutine's.
type ConvPool struct {
	Runs, Depth int // of a window: so many contiguous runs of so many inputs
	Out         int // channels
	Run         int // elements from one run to the next
	Right       int // from the window of an output to that of the next in a row
	Below       int // and to that of the next row
	Step        int // from one pooled pixel to the next
	Panel       int // from a panel of the weights to the next; see Panels

	args [7]int64
}

// HasConvPool reports whether the path has a kernel for runs of depth inputs and out
// output channels.
func (p *Path) HasConvPool(depth, out int) bool {
	return depth < len(p.convPool) && p.convPool[depth] != nil && out > 0 && out%panelCols == 0
}

// MaxPool computes a row of pixels pooled pixels. w is the weights, (element of the
// window, out channel) in panels of 16 columns, y is (pixel, out channel), and relu and
// arg are as those of Path.MaxPool.
func (g *ConvPool) MaxPool(p *Path, x, w, bias, y []float32, arg []uint8, pixels int, relu bool) {
	panels, size := g.Out/panelCols, g.Runs*g.Depth*panelCols
	if !p.HasConvPool(g.Depth, g.Out) || min(g.Right, g.Below, g.Panel) < 0 || len(bias) < g.Out ||
		len(x) < span([2]int{pixels, g.Step}, [2]int{2, g.Right}, [2]int{2, g.Below}, [2]int{g.Runs, g.Run}, [2]int{g.Depth, 1}) ||
		len(w) < (panels-1)*g.Panel+size || len(y) < pixels*g.Out || len(arg) < pixels*g.Out+Slack {
		panic(fmt.Sprintf("kernel: convolution %+v and pool of %d pixels on slices of %d, %d, %d, %d and %d", *g, pixels, len(x), len(w), len(bias), len(y), len(arg)))
	}
	g.args = [7]int64{int64(4 * g.Right), int64(4 * g.Below), int64(4 * g.Run), int64(4 * g.Step), int64(4 * g.Out), int64(g.Out), int64(g.Runs)}
	n := max(1, maxWork/(4*size))
	for j := range panels {
		for i := 0; i < pixels; i += n {
			at := i*g.Out + j*panelCols
			p.convPool[g.Depth](&x[i*g.Step], &w[j*g.Panel], &bias[j*panelCols], &y[at], &arg[at], &g.args[0], uintptr(min(n, pixels-i)), flag(relu))
		}
	}
}
