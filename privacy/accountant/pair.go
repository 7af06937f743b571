package accountant

import "math"

// pair is a dominating pair (P, Q) of one release, described along a coordinate w in which the privacy loss log(dP/dQ)
// increases. Part of the mass may sit in atoms.
type pair interface {
	// inverse returns the coordinate at which the loss reaches l, -Inf or +Inf where it never does.
	inverse(l float64) float64
	loss(w float64) float64
	// at returns the distribution of the continuous part at w.
	at(w float64) edge
	// cell returns the continuous part's mass p of P between two edges, the excess d = p - e^l q over the mass q of Q
	// there, and a bound on the rounding error of d.
	cell(a, b edge, l float64) (p, d, err float64)
	// span returns coordinates outside of which P has at most mass tail on each side.
	span(tail float64) (lo, hi float64)
	atoms() []atom
}

type atom struct{ loss, p float64 }

// edge holds, for up to three laws, the probabilities below and above a coordinate; differences are taken on the side that is small.
type edge struct{ below, above [3]float64 }

func (a edge) until(b edge, i int) float64 {
	if a.above[i] < a.below[i] {
		return a.above[i] - b.above[i]
	}
	return b.below[i] - a.below[i]
}

// small is the larger of the two probabilities whose difference until takes.
func (a edge) small(b edge, i int) float64 {
	if a.above[i] < a.below[i] {
		return a.above[i]
	}
	return b.below[i]
}

const ulp = 1.0 / (1 << 52)

// laws is a symmetric base pair along the log ratio w of law 1 to law 0; x -> -x exchanges them.
type laws interface {
	at(w float64) edge
	span(tail float64) (lo0, hi0, lo1, hi1 float64)
	atoms() []baseAtom
}

type baseAtom struct{ w, m0, m1 float64 }

// sampled is the pair of a Poisson sample of rate q over base laws. Remove: P = (1-q) law0 + q law1, Q = law0. Add: P = law0,
// Q the mixture, written after the exchange of the laws so that the loss increases with w.
type sampled struct {
	laws
	q   float64
	add bool
}

func (s sampled) inverse(l float64) float64 {
	if s.q == 1 {
		return l
	}
	if s.add {
		return -log1pOrInf(math.Expm1(-l) / s.q)
	}
	return log1pOrInf(math.Expm1(l) / s.q)
}

// log1pOrInf is log(1+x), -Inf where there is none.
func log1pOrInf(x float64) float64 {
	if x <= -1 {
		return math.Inf(-1)
	}
	return math.Log1p(x)
}

func (s sampled) loss(w float64) float64 {
	switch {
	case s.q == 1:
		return w
	case s.add:
		return -mixLoss(s.q, -w)
	}
	return mixLoss(s.q, w)
}

// mixLoss is log(1 - q + q e^w).
func mixLoss(q, w float64) float64 {
	if w > 600 {
		return w + math.Log(q)
	}
	return math.Log1p(q * math.Expm1(w))
}

func (s sampled) cell(a, b edge, l float64) (p, d, err float64) {
	m0, m1 := a.until(b, 0), a.until(b, 1)
	e0, e1 := 8*ulp*a.small(b, 0), 8*ulp*a.small(b, 1)
	if s.add {
		// P - e^l Q = q e^l (r m1 - m0) with r = e^-w; r < 0 lies beyond the largest loss.
		r, f := 1+math.Expm1(-l)/s.q, s.q*math.Exp(l)
		return m1, f * (r*m1 - m0), f * ((math.Abs(r)+1)*e1 + e0)
	}
	// P - e^l Q = q (m1 - r m0) with r = e^w; r < 0 lies below the least loss.
	r := 1 + math.Expm1(l)/s.q
	return (1-s.q)*m0 + s.q*m1, s.q * (m1 - r*m0), s.q * (e1 + (math.Abs(r)+1)*e0)
}

func (s sampled) span(tail float64) (lo, hi float64) {
	lo0, hi0, lo1, hi1 := s.laws.span(tail)
	if s.add {
		return lo1, hi1
	}
	return math.Min(lo0, lo1), math.Max(hi0, hi1)
}

func (s sampled) atoms() []atom {
	var out []atom
	for _, a := range s.laws.atoms() {
		p := a.m1
		if !s.add {
			p = (1-s.q)*a.m0 + s.q*a.m1
		}
		out = append(out, atom{s.loss(a.w), p})
	}
	return out
}

// gaussianLaws are N(-mu^2/2, mu^2) and N(mu^2/2, mu^2): the log ratio of two unit Gaussians mu apart.
type gaussianLaws struct{ mu float64 }

func (g gaussianLaws) at(w float64) edge {
	var e edge
	for i, c := range [2]float64{-g.mu * g.mu / 2, g.mu * g.mu / 2} {
		e.below[i], e.above[i] = normal((w - c) / g.mu)
	}
	return e
}

// normal returns both tails of the standard normal at t.
func normal(t float64) (below, above float64) {
	if t > 0 {
		above = 0.5 * math.Erfc(t/math.Sqrt2)
		return 1 - above, above
	}
	below = 0.5 * math.Erfc(-t/math.Sqrt2)
	return below, 1 - below
}

func (g gaussianLaws) span(tail float64) (lo0, hi0, lo1, hi1 float64) {
	t := math.Sqrt(-2*math.Log(tail)) * g.mu
	c := g.mu * g.mu / 2
	return -c - t, -c + t, c - t, c + t
}

func (gaussianLaws) atoms() []baseAtom { return nil }

// laplaceLaws is the log ratio of two Laplace laws of scale 1/e one apart: it lies in [-e, e] with atoms at both ends.
type laplaceLaws struct{ e float64 }

func (g laplaceLaws) at(w float64) edge {
	w = math.Min(math.Max(w, -g.e), g.e)
	var out edge
	// Density of law 1: exp((w-e)/2)/4; of law 0, its mirror image.
	out.below[1] = 0.5 * math.Exp(-g.e) * math.Expm1((w+g.e)/2)
	out.above[1] = -0.5 * math.Expm1((w-g.e)/2)
	out.below[0] = -0.5 * math.Expm1(-(w+g.e)/2)
	out.above[0] = 0.5 * math.Exp(-g.e) * math.Expm1((g.e-w)/2)
	return out
}

func (g laplaceLaws) span(float64) (lo0, hi0, lo1, hi1 float64) { return -g.e, g.e, -g.e, g.e }

func (g laplaceLaws) atoms() []baseAtom {
	half, rest := 0.5, 0.5*math.Exp(-g.e)
	return []baseAtom{{-g.e, half, rest}, {g.e, rest, half}}
}

// replaced is the pair (1-q) N(0, z^2) + q N(+-1, z^2) of replace-one neighbours, along the value x itself.
type replaced struct{ q, z float64 }

func (r replaced) inverse(l float64) float64 {
	a := math.Exp(1/(2*r.z*r.z)) * (1 - r.q) / r.q
	return r.z * r.z * (math.Asinh(a*math.Sinh(l/2)) + l/2)
}

func (r replaced) loss(x float64) float64 {
	v := 2 * r.z * r.z
	return mixLoss(r.q, (2*x-1)/v) - mixLoss(r.q, (-2*x-1)/v)
}

func (r replaced) at(x float64) edge {
	var e edge
	for i, c := range [3]float64{0, 1, -1} {
		e.below[i], e.above[i] = normal((x - c) / r.z)
	}
	return e
}

func (r replaced) cell(a, b edge, l float64) (p, d, err float64) {
	m0 := (1 - r.q) * a.until(b, 0)
	p = m0 + r.q*a.until(b, 1)
	f := math.Exp(l)
	// The shared component enters through 1 - e^l, so that it cancels exactly.
	d = -math.Expm1(l)*m0 + r.q*(a.until(b, 1)-f*a.until(b, 2))
	err = 8 * ulp * ((1-r.q)*math.Abs(math.Expm1(l))*a.small(b, 0) + r.q*(a.small(b, 1)+f*a.small(b, 2)))
	return p, d, err
}

func (r replaced) span(tail float64) (lo, hi float64) {
	t := math.Sqrt(-2*math.Log(tail)) * r.z
	return -t, 1 + t
}

func (replaced) atoms() []atom { return nil }

// points is a pair made of atoms alone.
type points []atom

func (points) inverse(l float64) float64                   { return l }
func (points) loss(w float64) float64                      { return w }
func (points) at(float64) edge                             { return edge{} }
func (points) cell(_, _ edge, _ float64) (p, d, e float64) { return 0, 0, 0 }
func (p points) atoms() []atom                             { return p }
func (p points) span(float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, a := range p {
		lo, hi = math.Min(lo, a.loss), math.Max(hi, a.loss)
	}
	return lo, hi
}
