package nn

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sotto-fl/sotto/internal/meter"
	"github.com/sotto-fl/sotto/internal/picture"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/optim"
)

// parts makes the step of Train with one worker, piece by piece. after is called with the name of the piece that has just been done, the
// arithmetic in it and the bytes that it cannot avoid to move, each 0 if unknown.
type parts struct {
	n     *simd
	after func(name string, mflop, bytes float64)
}

func (p *parts) forward(x []float32, batch int) []float32 {
	n, w := p.n, p.n.workers[0]
	n.x, n.batch = x, batch
	for _, l := range n.trunk {
		l.prepare(false)
	}
	p.after("weights of convolutions", 0, 0)
	for e := range batch {
		n.load(e, x[e*n.input.Size():][:n.input.Size()])
		p.after("input", 0, float64(8*n.input.Size()))
		for i, l := range n.trunk {
			in, out := n.frames[i].example(n.acts[i], e), n.frames[i+1].example(n.acts[i+1], e)
			name := fmt.Sprintf("layer %d", i+1)
			c, ok := l.(*pooledConv)
			if !ok {
				l.forward(w, e, in, out)
				p.after(name+" forward", 0, 0)
				continue
			}
			if c.winograd != nil || c.small {
				c.forward(w, e, in, out)
				p.after(fmt.Sprintf("conv%d forward and pool", i+1), c.forwardFLOP/1e6, 4*float64(c.in.Size())+5*float64(c.pool.Size()))
				continue
			}
			for top := 0; top < c.pool.H; top += c.band {
				rows := min(c.band, c.pool.H-top)
				pixels := float64(((rows-1)*c.poolStride + 2) * c.step.out.W)
				c.convolveBand(w, in, top, rows)
				p.after(fmt.Sprintf("conv%d forward", i+1), c.forwardFLOP/1e6*float64(rows)/float64(c.pool.H), 4*pixels*float64(c.step.in.C+c.Out))
				c.poolBand(w, e, out, top, rows)
				p.after(fmt.Sprintf("conv%d pool", i+1), 0, 4*pixels*float64(c.Out)+5*float64(rows*c.pool.W*c.Out))
			}
		}
	}
	h := n.acts[len(n.trunk)]
	for i, l := range n.head {
		h = l.forward(h, batch)
		p.head(i, l, "forward", batch)
	}
	out := n.logits[:batch*n.classes]
	for e := range batch {
		copy(out[e*n.classes:][:n.classes], h[e*n.head[len(n.head)-1].width():])
	}
	return out
}

func (p *parts) head(i int, l headLayer, what string, batch int) {
	if d, ok := l.(*productDense); ok && len(d.w) >= 1<<14 {
		p.after(fmt.Sprintf("fc %dx%d %s", d.in, d.out, what), 2*float64(batch*d.in*d.out)/1e6, 4*float64(d.in*d.out+batch*(d.in+d.out)))
		return
	}
	p.after("head, rest", 0, 0)
}

func (p *parts) step(x []float32, labels []int32, rule Rule) {
	n, w, batch := p.n, p.n.workers[0], len(labels)
	logits := p.forward(x, batch)
	crossEntropy(n.dlogits[:len(logits)], logits, labels, n.classes, 1/float64(batch))
	p.after("loss", 0, 0)
	stride := n.head[len(n.head)-1].width()
	for e := range batch {
		copy(n.flows[len(n.head)][e*stride:], n.dlogits[e*n.classes:][:n.classes])
	}
	n.rule = rule
	for i := len(n.head) - 1; i >= 0; i-- {
		n.head[i].backward(n.flows[i+1], n.flows[i], batch)
		if d, ok := n.head[i].(*productDense); ok && d.wide {
			size := float64(len(d.w))
			p.after(fmt.Sprintf("fc %dx%d dX, dW, Adam", d.in, d.out), 4*size*float64(batch)/1e6, 4*(6*size+float64(batch*(d.in+d.out))))
			continue
		}
		p.head(i, n.head[i], "dX", batch)
	}
	n.rule = nil
	for _, l := range n.trunk {
		l.prepare(true)
	}
	p.after("weights of convolutions", 0, 0)
	for i, l := range n.head {
		if d, ok := l.(*productDense); !ok || !d.wide {
			l.gradient(n.flows[i+1], 0, batch)
			p.head(i, l, "dW", batch)
		}
	}
	for chunk := range n.chunkCount(batch) {
		sum := n.sums[chunk]
		clear(sum)
		lo, hi := n.chunk(chunk, batch)
		for e := lo; e < hi; e++ {
			p.back(w, e, sum)
		}
	}
	n.reduce()
	n.finish(n.sums[0])
	p.after("sums of chunks", 0, 0)
	for _, r := range n.rest {
		if lo, hi := r[0], r[1]; hi > lo {
			rule(n.weights[lo:hi], n.grads[lo:hi], lo)
			p.after("Adam, rest", 0, 28*float64(hi-lo))
		}
	}
}

// back is backExample for a trunk of pooled convolutions.
func (p *parts) back(w *worker, e int, sum []float32) {
	n := p.n
	dout := n.frames[len(n.trunk)].example(n.flows[0], e)
	n.lookAhead(w, e+1)
	at := n.private
	for i := len(n.trunk) - 1; i >= n.first; i-- {
		l := n.trunk[i].(*pooledConv)
		at -= l.private()
		in, out := n.frames[i].example(n.acts[i], e), n.frames[i+1].example(n.acts[i+1], e)
		name := fmt.Sprintf("conv%d ", i+1)
		q := &l.pooled[w.id]
		l.listWindows(w, e, out, dout)
		if !l.quads {
			p.after(name+"lists", 0, 4*float64(3*l.pool.Size()+2*q.visited))
		}
		l.weightGradient(w, e, in, out, dout, sum[at:at+l.private()])
		flop := 2 * float64(q.visited*l.depth) / 1e6
		p.after(name+"dW", flop, 0)
		if i == n.first {
			return
		}
		din := w.grads[i]
		l.listWeights(w, e)
		p.after(name+"lists", 0, 5*float64(l.pool.Size()))
		l.inputGradient(w, din)
		p.after(name+"dX", flop, 0)
		dout = din
	}
}

// The pieces are the step: what they give is what Train gives.
func TestPartsAreTheStep(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		if kernel.Name() == "go" {
			t.Skip("the portable path has no such pieces")
		}
		for _, a := range named {
			n, x, labels, _ := randomTask(t, rand.New(rand.NewPCG(60, 1)), a, 11)
			if n.stem != nil || !pooledTrunk(n) {
				continue
			}
			start := slices.Clone(n.Weights())
			rule := func(w, g []float32, _ int) {
				for i := range w {
					w[i] -= 0.1 * g[i]
				}
			}
			n.Train(x, labels, rule)
			want := slices.Clone(n.Weights())
			copy(n.Weights(), start)
			(&parts{n: n.simd, after: func(string, float64, float64) {}}).step(x, labels, rule)
			if !slices.Equal(n.Weights(), want) || slices.Equal(want, start) {
				t.Errorf("%s: the pieces give other weights", a.Name)
			}
		}
	})
}

func pooledTrunk(n *Network) bool {
	for _, l := range n.simd.trunk {
		if _, ok := l.(*pooledConv); !ok {
			return false
		}
	}
	return true
}

// BenchmarkRoofline prints where a training step spends its time, and how near
// each part comes to the peak of the core, measured in turns with it. Times are
// medians of the thread's processor time, for one example.
func BenchmarkRoofline(b *testing.B) {
	for _, c := range []struct {
		model string
		batch int
	}{{"cifar-cnn", 64}, {"cifar-cnn", 10}} {
		b.Run(fmt.Sprintf("%s/batch=%d", c.model, c.batch), func(b *testing.B) { roofline(b, c.model, c.batch) })
	}
}

func roofline(b *testing.B, model string, batch int) {
	if !kernel.Default().SIMD() {
		b.Skip("the portable path has no such parts")
	}
	a, err := Named(model)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(61, 1))
	n, x, labels, _ := randomTask(b, r, a, batch)
	picture.Fill(x, a.Input.C, a.Input.H, a.Input.W, r)
	opt, err := optim.New(optim.Config{Name: optim.Adam, LR: 1e-3}, len(n.Weights()))
	if err != nil {
		b.Fatal(err)
	}
	type part struct {
		*meter.Meter
		cpu          time.Duration
		mflop, bytes float64
	}
	all := map[string]*part{}
	var order []string
	least := clockCost()
	peak := meter.New(func() float64 { return kernel.Default().Peak(3) })
	var last time.Duration
	p := parts{n: n.simd, after: func(name string, mflop, bytes float64) {
		now := meter.Thread()
		q := all[name]
		if q == nil {
			q = &part{Meter: meter.New(nil)}
			all[name], order = q, append(order, name)
		}
		q.cpu += now - last - least
		q.mflop += mflop
		q.bytes += bytes
		last = meter.Thread()
	}}
	for b.Loop() {
		for _, q := range all {
			q.cpu, q.mflop, q.bytes = 0, 0, 0
		}
		last = meter.Thread()
		first := last
		opt.Begin(0) // to learn a few pictures by heart would keep more outputs alive
		p.step(x, labels, opt.Update)
		for _, q := range all {
			q.Add(q.cpu, 0)
		}
		peak.Add(last-first, 0)
	}
	peak.Stop()
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "part\tus\t%%step\tbest us\tMFLOP\t%%peak\tbest\tKB\tGB/s\t\n")
	var total time.Duration
	for _, q := range all {
		total += q.CPU()
	}
	us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(batch) }
	row := func(name string, median, best time.Duration, mflop, bytes float64) {
		fmt.Fprintf(w, "%s\t%.2f\t%.1f\t%.2f\t", name, us(median), 100*median.Seconds()/total.Seconds(), us(best))
		if mflop > 0 {
			share := func(d time.Duration) float64 { return 100 * mflop * 1e6 / d.Seconds() / 1e9 / peak.Peak() }
			fmt.Fprintf(w, "%.2f\t%.0f\t%.0f\t", mflop/float64(batch), share(median), share(best))
		} else {
			fmt.Fprint(w, "\t\t\t")
		}
		if bytes > 0 {
			fmt.Fprintf(w, "%.0f\t%.0f\t\n", bytes/1e3/float64(batch), bytes/median.Seconds()/1e9)
		} else {
			fmt.Fprint(w, "\t\t\n")
		}
	}
	sum := 0.0
	for _, name := range order {
		q := all[name]
		sum += q.mflop
		row(name, q.CPU(), q.Least(), q.mflop, q.bytes)
	}
	row("all", total, peak.Least(), sum, 0)
	w.Flush()
	// Not a log, which the package testing cuts short.
	fmt.Printf("\n%s, batch %d, %s, peak %.1f GFLOP/s\n%s", model, batch, n.Kernel(), peak.Peak(), s.String())
	b.ReportMetric(100*sum*1e6/total.Seconds()/1e9/peak.Peak(), "%executed-peak")
	b.ReportMetric(0, "ns/op")
}

// clockCost is what reading the clock twice takes.
func clockCost() time.Duration {
	m := meter.New(nil)
	for range 1000 {
		m.Time(func() {})
	}
	m.Stop()
	return m.CPU()
}
