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

// law is a discrete privacy loss distribution on losses that need no common grid: p[i] is P's mass at loss l[i], inf its mass
// at infinite loss. The masses may sum to a little less than 1 where a bound allows it.
type law struct {
	l, p []float64
	inf  float64
}

func (f *law) add(l, p float64) {
	f.l, f.p = append(f.l, l), append(f.p, p)
}

// cells is where a step's losses are cut: for each part, coordinates in increasing order.
type cells [][]float64

// split divides the losses at cut: up to it, and above.
func (f law) split(cut float64) (bulk, rest law) {
	bulk.inf = f.inf
	for i, l := range f.l {
		if l <= cut {
			bulk.add(l, f.p[i])
		} else {
			rest.add(l, f.p[i])
		}
	}
	return bulk, rest
}

// pilots is the number of intervals, equally wide, in which a pair is sampled before it is cut finely.
const pilots = 240

// maxCells bounds the cells of one part of a step.
const maxCells = 1 << 15

// tilts say which losses decide delta: those up to cut with weight e^(theta[0] l + log[0]), those above with theta[1] and log[1].
type tilts struct {
	cut        float64
	theta, log [2]float64
}

func (t tilts) at(l float64) (theta, weight float64) {
	i := 0
	if l > t.cut {
		i = 1
	}
	return t.theta[i], math.Exp(t.theta[i]*l + t.log[i])
}

// cells cuts the coordinates so that what cutting adds to epsilon is about tolerance or less. Each of the pilots, intervals of one
// width, is cut at least at its ends. A cell of width D in loss, of mass p weighted by its tilt, adds n p D^2 (1+theta)/12, and for a given number of
// cells the sum is least with widths in proportion to p^(-1/3).
func (s step) cells(t tilts, tail, tolerance float64, pilots int) cells {
	type pilot struct{ from, to, weight float64 }
	all := make([][]pilot, len(s.parts))
	root := 0.0
	for i, c := range s.parts {
		lo, hi := c.pair.span(tail)
		if !(hi > lo) || math.IsInf(lo, 0) {
			continue
		}
		a, wa, la := c.pair.at(lo), lo, c.pair.loss(lo)
		for j := range pilots {
			w := lo + (hi-lo)*float64(j+1)/float64(pilots)
			b, l := c.pair.at(w), c.pair.loss(w)
			p, _, _ := c.pair.cell(a, b, la)
			// Where the tilt varies much within the pilot and the mass there matters, look closer.
			n := 1
			theta, weight := t.at(l)
			if v := (1 + theta) * (l - la); v > 0.5 && s.n*c.weight*p*weight > 1e-9*tolerance*(1+theta) {
				n = min(int(2*v)+1, 64)
			}
			for k := range n {
				to := w
				if k+1 < n {
					to = wa + (w-wa)/float64(n-k)
				}
				b, lb := c.pair.at(to), c.pair.loss(to)
				p, _, _ := c.pair.cell(a, b, la)
				theta, weight := t.at(lb)
				q := pilot{wa, to, math.Cbrt(math.Max(0, c.weight*p) * weight * (1 + theta) * (lb - la) * (lb - la))}
				all[i] = append(all[i], q)
				root += q.weight
				a, wa, la = b, to, lb
			}
			a, wa, la = b, w, l
		}
	}
	want := math.Sqrt(s.n / 12 / tolerance * root * root * root)
	want = math.Min(math.Max(want, 256), maxCells)
	out := make(cells, len(s.parts))
	for i := range all {
		for _, p := range all[i] {
			n := 1
			if root > 0 {
				n += int(want * p.weight / root)
			}
			for k := range n {
				out[i] = append(out[i], p.from+(p.to-p.from)*float64(k)/float64(n))
			}
		}
		if last := len(all[i]) - 1; last >= 0 {
			out[i] = append(out[i], all[i][last].to)
		}
	}
	return out
}

// upper discretises pessimistically by connecting the dots: within each cell the masses of P and of Q are kept and moved to
// the losses at its two ends, which replaces the hockey-stick curve by its chords, from above. Doroshenko, Ghazi, Kamath, Kumar,
// Manurangsi 2022, arXiv:2207.04380, whose proof needs no equal widths. What rounding could hide is moved up, the lower tail to
// the first loss, the upper tail to infinity. Atoms keep their losses.
func (s step) upper(cut cells) law {
	out := law{inf: s.inf}
	for i, c := range s.parts {
		if edges := cut[i]; len(edges) > 0 {
			a, la := c.pair.at(edges[0]), c.pair.loss(edges[0])
			at, _, _ := c.pair.cell(c.pair.at(math.Inf(-1)), a, la)
			for _, w := range edges[1:] {
				b, lb := c.pair.at(w), c.pair.loss(w)
				p, d, err := c.pair.cell(a, b, la)
				p = math.Max(p, 0)
				up := p
				if gap := -math.Expm1(la - lb); gap > 0 {
					up = math.Min(math.Max((d+err)/gap, 0), p)
				}
				out.add(la, c.weight*(at+p-up))
				at, a, la = up, b, lb
			}
			out.add(la, c.weight*at)
			p, _, _ := c.pair.cell(a, c.pair.at(math.Inf(1)), la)
			out.inf += c.weight * math.Max(p, 0)
		}
		for _, x := range c.pair.atoms() {
			out.add(x.loss, c.weight*x.p)
		}
	}
	return out
}

// lower discretises optimistically: the outcomes of a cell are merged, an act of post-processing, to one of the loss
// log(P/Q) of the cell. What rounding could hide is moved down; the upper tail is dropped. docs/privacy.md, proof 5.
func (s step) lower(cut cells) law {
	out := law{inf: s.inf}
	for i, c := range s.parts {
		if edges := cut[i]; len(edges) > 0 {
			a, la := c.pair.at(math.Inf(-1)), math.Inf(-1)
			for _, w := range edges {
				b, lb := c.pair.at(w), c.pair.loss(w)
				l := la
				if math.IsInf(la, -1) {
					l = lb
				}
				// The merged loss is log(p/q) with q = e^-l (p - d).
				if p, d, err := c.pair.cell(a, b, l); p > 0 {
					out.add(math.Min(math.Max(l-math.Log1p(math.Max((err-d)/p, -1)), la), lb), c.weight*p)
				}
				a, la = b, lb
			}
		}
		for _, x := range c.pair.atoms() {
			out.add(x.loss, c.weight*x.p)
		}
	}
	return out
}

// logMGF returns log of the sum of p exp(theta l).
func (f law) logMGF(theta float64) float64 {
	peak := math.Inf(-1)
	for i, l := range f.l {
		if f.p[i] > 0 {
			peak = math.Max(peak, theta*l)
		}
	}
	if math.IsInf(peak, -1) {
		return peak
	}
	sum := 0.0
	for i, l := range f.l {
		sum += f.p[i] * math.Exp(theta*l-peak)
	}
	return peak + math.Log(sum)
}

// gridError is what connecting the dots on multiples of h would add to the variance of one release, tilted by theta.
func (f law) gridError(theta, h float64) float64 {
	k, sum := f.logMGF(theta), 0.0
	for i, l := range f.l {
		below := l - h*math.Floor(l/h)
		sum += f.p[i] * math.Exp(theta*l-k) * below * (h - below)
	}
	return sum
}
