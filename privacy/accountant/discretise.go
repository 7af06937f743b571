package accountant

import "math"

// step is one kind of release, n times: a mixture of pairs told apart by the output, and a chance inf of failure.
type step struct {
	n     float64
	parts []part
	inf   float64
}

type part struct {
	weight float64
	pair   pair
}

// pmf is a privacy loss distribution on multiples of h: p[i] is P's mass at loss (first+i) h, inf its mass at infinite loss.
type pmf struct {
	first int
	p     []float64
	inf   float64
}

// span returns the losses outside of which P has at most mass tail on each side.
func (s step) span(tail float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, p := range s.parts {
		a, b := p.pair.span(tail)
		lo, hi = math.Min(lo, p.pair.loss(a)), math.Max(hi, p.pair.loss(b))
	}
	return lo, hi
}

func (s step) grid(h, tail float64) (first, last int) {
	lo, hi := s.span(tail)
	return int(math.Floor(lo / h)), int(math.Ceil(hi / h))
}

// upper discretises pessimistically by connecting the dots: within each cell of the grid the masses of P and of Q are
// kept and moved to the two ends, which replaces the hockey-stick curve by its chords, from above. Doroshenko, Ghazi,
// Kamath, Kumar, Manurangsi 2022, arXiv:2207.04380. What rounding could hide is moved up, the lower tail to the first
// point, the upper tail to infinity.
func (s step) upper(h, tail float64) pmf {
	first, last := s.grid(h, tail)
	out := pmf{first: first, p: make([]float64, last-first+1), inf: s.inf}
	gap := -math.Expm1(-h)
	for _, c := range s.parts {
		l := float64(first) * h
		a := c.pair.at(c.pair.inverse(l))
		p, _, _ := c.pair.cell(c.pair.at(math.Inf(-1)), a, l)
		out.p[0] += c.weight * p
		for i := first; i < last; i++ {
			b := c.pair.at(c.pair.inverse(float64(i+1) * h))
			p, d, err := c.pair.cell(a, b, float64(i)*h)
			up := math.Min(math.Max((d+err)/gap, 0), p)
			out.p[i-first] += c.weight * (p - up)
			out.p[i-first+1] += c.weight * up
			a = b
		}
		p, _, _ = c.pair.cell(a, c.pair.at(math.Inf(1)), float64(last)*h)
		out.inf += c.weight * p
		for _, x := range c.pair.atoms() {
			i := math.Floor(x.loss / h)
			up := math.Min(1, -math.Expm1(i*h-x.loss)/gap) * x.p
			j := int(i) - first
			if j+1 < len(out.p) {
				out.p[j+1] += c.weight * up
			} else if up > 0 {
				out.inf += c.weight * up
			}
			out.p[j] += c.weight * (x.p - up)
		}
	}
	return out
}

// lower discretises optimistically: outcomes are merged into bins, an act of post-processing, whose edges are chosen so that
// the merged loss falls on the grid. Losses that cannot be placed so are lowered to the grid, and the rest of the
// upper tail is dropped; each step only lowers the hockey-stick curve. docs/privacy.md, proof 5.
func (s step) lower(h, tail float64) pmf {
	first, last := s.grid(h, tail)
	first--
	out := pmf{first: first, p: make([]float64, last-first+1), inf: s.inf}
	for _, c := range s.parts {
		_, end := c.pair.span(tail)
		a, wa := c.pair.at(math.Inf(-1)), math.Inf(-1)
		for i := first; i <= last && wa < end; i++ {
			l := float64(i) * h
			w := c.pair.inverse(l)
			if w <= wa {
				continue
			}
			// The merged loss of (wa, wb] rises with wb; it passes l a little above twice the way from wa to w.
			b, wb, ok := binEnd(c.pair, a, wa, l, w, h, end)
			p, _, _ := c.pair.cell(a, b, l)
			if !ok { // the rest of the support merges to a loss below l
				if i > first {
					out.p[i-first-1] += c.weight * math.Max(0, p)
				}
				break
			}
			out.p[i-first] += c.weight * math.Max(0, p)
			a, wa = b, wb
		}
		for _, x := range c.pair.atoms() {
			out.p[int(math.Floor(x.loss/h))-first] += c.weight * x.p
		}
	}
	return out
}

// binEnd finds the end of the bin that starts at wa and merges to loss l, or to a loss just above it. It reports false, with
// the bin that reaches to the end of the support, when no end does.
func binEnd(c pair, a edge, wa, l, w, h, end float64) (edge, float64, bool) {
	excess := func(x float64) (edge, float64) {
		b := c.at(x)
		_, d, err := c.cell(a, b, l)
		return b, d - err
	}
	width := w - wa
	if math.IsInf(width, 1) || width <= 0 {
		width = math.Max(math.Abs(c.inverse(l+h)-w), 1e-9)
	}
	// The excess is least at w and grows about as the square of the distance from there, so that its root is nearly mirrored.
	lo, hi := w, w+width
	b, d := excess(hi)
	for range 60 {
		if d >= 0 {
			break
		}
		if hi > end {
			return b, hi, false
		}
		lo, hi = hi, hi+width/16
		width *= 1.5
		b, d = excess(hi)
	}
	if d < 0 {
		return b, hi, false
	}
	// Newton's steps on the private side: with excess A ((x-w)^2 - root^2), the slope at x is 2 A (x-w). What is left above
	// l is lost, and is small beside h^2.
	_, low := excess(w)
	for range 6 {
		r := hi - w
		a := (d - low) / (r * r)
		if !(a > 0) {
			break
		}
		next := hi - d/(2*a*r)*0.9999
		if next <= lo || hi-next < 1e-7*(hi-w) {
			break
		}
		m, dm := excess(next)
		if dm < 0 {
			if lo = next; lo >= hi {
				break
			}
			// Overshot: halve towards the safe side once and stop.
			if m, dm = excess((next + hi) / 2); dm < 0 {
				break
			}
			next = (next + hi) / 2
		}
		hi, b, d = next, m, dm
	}
	return b, hi, true
}
