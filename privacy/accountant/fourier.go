package accountant

import (
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/dsp/fourier"
)

// The spread of a loss over the points of the circle: a Gaussian of sd spread points, cut at reach points. With three points per
// frequency asked for, what aliases and what is cut are both below e^-34 of the mass.
const (
	spread = 1.63
	reach  = 14
)

// characteristic is the law's characteristic function at complex arguments: sum of p exp((theta + i k dt) l - logMGF(theta)) for
// k = 0 to n, to about 1e-14. Losses need no common grid: each is spread over a few points of a circle by a Gaussian, whose own transform is
// divided out (Greengard, Lee 2004). The second value bounds their errors.
func (f law) characteristic(plans transforms, theta, logMGF, dt float64, n int) (values []complex128, errs []float64) {
	size := transformSize(max(6*n, 4*reach))
	circle := make([]float64, size)
	var far [2*reach + 1]float64
	for j := range far {
		d := float64(j - reach)
		far[j] = math.Exp(-d * d / (2 * spread * spread))
	}
	perLoss := dt / (2 * math.Pi) * float64(size)
	for i, l := range f.l {
		m := f.p[i] * math.Exp(theta*l-logMGF)
		if !(m > 1e-40) {
			continue
		}
		x := l * perLoss
		whole := math.Floor(x + 0.5)
		u := x - whole
		// exp(-(j-u)^2/2s^2) as a product, for j = -reach to reach.
		w := m * math.Exp((-u*u-2*reach*u)/(2*spread*spread))
		grow := math.Exp(u / (spread * spread))
		at := mod(int(math.Mod(whole, float64(size)))-reach, size)
		for j := range far {
			circle[at] += w * far[j]
			w *= grow
			if at++; at == size {
				at = 0
			}
		}
	}
	c := plans.of(size).Coefficients(nil, circle)
	values, errs = make([]complex128, n+1), make([]float64, n+1)
	e := 4 * ulp * math.Log2(float64(size))
	for k := range values {
		t := 2 * math.Pi * float64(k) / float64(size)
		undo := math.Exp(spread * spread * t * t / 2)
		values[k] = cmplx.Conj(c[k]) * complex(undo/(spread*math.Sqrt(2*math.Pi)), 0)
		errs[k] = e * undo
	}
	return values, errs
}

// transforms holds plans by size, for one goroutine.
type transforms map[int]*fourier.FFT

func (t transforms) of(size int) *fourier.FFT {
	if t[size] == nil {
		t[size] = fourier.NewFFT(size)
	}
	return t[size]
}

func mod(i, n int) int {
	if i %= n; i < 0 {
		i += n
	}
	return i
}

// transformSize is the least m in {2^k, 3 2^k, 5 2^k} that is at least n.
func transformSize(n int) int {
	best := math.MaxInt
	for _, odd := range []int{1, 3, 5} {
		m := 2 * odd
		for m < n {
			m *= 2
		}
		best = min(best, m)
	}
	return best
}

// curve is delta as a function of epsilon for a composition, or for a share of its outcomes, beside one more Gaussian release of
// mu^2 = blur. With L the sum of the losses and M its moment generating function,
//
//	delta(eps) = E (1 - e^(eps-L))+ = 1/2pi Integral M(theta+it) e^(-(theta+it) eps) / ((theta+it)(theta+1+it)) dt
//
// for any theta > 0, and the density of L is the same without the denominator. The trapezoid rule with step dt adds, exactly, the values of
// e^(theta m W) delta(eps + mW) for whole m != 0, W = 2 pi/dt: never less than the truth, and little more for a wide enough window W.
type curve struct {
	plane
	logMGF   float64 // of the releases at theta
	logScale float64 // and of the Gaussian
	spectrum []complex128
	err      []float64
	// terms of the sums for delta and for the density, and bounds on the sums' errors
	tail, mass       []complex128
	tailErr, massErr float64
	alias            [2]alias
	slack            float64
}

// plane is where a curve is evaluated: on the line of real part theta, with n steps of dt.
type plane struct {
	theta, dt, ref float64
	n              int
	sides          [2]float64 // the changes of theta by which Chernoff bounds what comes in from either side
	blur           float64
	cut            float64 // the share: outcomes of no loss above cut, or of some
	rest           bool
}

// alias bounds what the trapezoid rule adds: at e^(rate (ref - epsilon)).
type alias struct{ at, rate float64 }

// compose puts n[j] releases of each f[j] and one Gaussian of mu^2 = v together.
func compose(plans transforms, f []law, n []float64, v float64, at plane) curve {
	c := curve{plane: at, spectrum: make([]complex128, at.n+1), err: make([]float64, at.n+1)}
	bulk, rest := make([]law, len(f)), make([]law, len(f))
	steps := 0.0
	for j := range f {
		bulk[j], rest[j] = f[j].split(at.cut)
		steps += n[j]
	}
	c.slack = 1e-12 + 1e-14*steps
	logMGF := func(theta float64) (k float64) {
		more := 0.0
		for j := range f {
			b := bulk[j].logMGF(theta)
			k += n[j] * b
			if at.rest {
				more += n[j] * math.Log1p(math.Exp(rest[j].logMGF(theta)-b))
			}
		}
		if at.rest {
			k += logExpm1(more)
		}
		return k
	}
	c.logMGF = logMGF(at.theta)
	for i, s := range at.sides {
		theta := math.Max(at.theta+s, 0)
		k := logMGF(theta) + v/2*(theta*theta+theta)
		// The sum over m of e^(k - theta ref - m |s| W).
		fall := math.Abs(s) * 2 * math.Pi / at.dt
		c.alias[i] = alias{math.Exp(k-theta*at.ref-fall) / -math.Expm1(-fall), theta}
	}
	// The product of powers of the bulks, and the log of what the rests multiply it by.
	logBulk := make([]complex128, at.n+1)
	grown := make([]complex128, at.n+1)
	rel := make([]float64, at.n+1)     // relative error of the product
	relMore := make([]float64, at.n+1) // absolute error of grown
	kBulk := 0.0
	for j := range f {
		k := bulk[j].logMGF(at.theta)
		kBulk += n[j] * k
		s, e := bulk[j].characteristic(plans, at.theta, k, at.dt, at.n)
		var r []complex128
		var ratio float64
		if at.rest {
			kr := rest[j].logMGF(at.theta)
			r, _ = rest[j].characteristic(plans, at.theta, kr, at.dt, at.n)
			ratio = math.Exp(kr - k)
		}
		for i, x := range s {
			mod := math.Hypot(real(x), imag(x))
			if mod == 0 {
				mod, x = math.SmallestNonzeroFloat64, complex(math.SmallestNonzeroFloat64, 0)
			}
			logBulk[i] += complex(n[j]*math.Log(mod), n[j]*math.Atan2(imag(x), real(x)))
			rel[i] += n[j] * (e[i]/mod + 4*ulp)
			if at.rest {
				y := r[i] / x * complex(ratio, 0)
				grown[i] += complex(n[j], 0) * log1p(y)
				relMore[i] += n[j] * ratio * (e[i]/mod + 4*ulp) * (1 + cmplx.Abs(y)/ratio) / cmplx.Abs(1+y)
			}
		}
	}
	for i := range c.spectrum {
		l := logBulk[i] + complex(kBulk-c.logMGF, 0)
		if !at.rest {
			c.spectrum[i] = cmplx.Exp(l)
			c.err[i] = cmplx.Abs(c.spectrum[i]) * math.Expm1(math.Min(rel[i], 1))
			continue
		}
		whole := math.Exp(math.Min(real(l+grown[i]), 1))
		if real(grown[i]) > 1 {
			c.spectrum[i] = cmplx.Exp(l+grown[i]) - cmplx.Exp(l)
		} else {
			c.spectrum[i] = cmplx.Exp(l) * expm1(grown[i])
		}
		c.err[i] = cmplx.Abs(c.spectrum[i])*math.Expm1(math.Min(rel[i], 1)) + whole*math.Expm1(math.Min(relMore[i], 1))
	}
	c.set(v)
	return c
}

// log1p is log(1+x).
func log1p(x complex128) complex128 {
	if cmplx.Abs(x) < 1e-3 {
		return x * (1 - x*(0.5-x*(1.0/3-x*(0.25-x*(0.2-x/6)))))
	}
	return cmplx.Log(1 + x)
}

// expm1 is e^x - 1.
func expm1(x complex128) complex128 {
	if cmplx.Abs(x) < 1e-3 {
		return x * (1 + x*(0.5+x*(1.0/6+x*(1.0/24+x*(1.0/120+x/720)))))
	}
	return cmplx.Exp(x) - 1
}

// with is the curve beside a Gaussian of another mu^2.
func (c curve) with(v float64) curve {
	c.mass, c.tail = nil, nil
	c.set(v)
	return c
}

// set fills the sums, with one Gaussian of mu^2 = v beside the spectrum.
func (c *curve) set(v float64) {
	// E exp(s l) of its loss, N(v/2, v), is exp(v (s^2 + s)/2).
	c.logScale = c.logMGF + v/2*(c.theta*c.theta+c.theta)
	c.tailErr, c.massErr = 0, 0
	last := 0
	for i, x := range c.spectrum {
		t := float64(i) * c.dt
		a := math.Exp(-v*t*t/2) * c.dt / math.Pi
		if i == 0 {
			a /= 2
		}
		x *= cmplx.Rect(a, v*t*(c.theta+0.5))
		d := complex(c.theta, t) * complex(c.theta+1, t)
		e := a * c.err[i]
		c.massErr += e
		c.tailErr += e / cmplx.Abs(d)
		if math.Abs(real(x))+math.Abs(imag(x)) > 1e-20*c.dt {
			last = i
		}
		c.mass = append(c.mass, x)
		c.tail = append(c.tail, x/d)
	}
	// Terms so small that leaving them out is an error of rounding.
	for i := last + 1; i < len(c.mass); i++ {
		c.massErr += cmplx.Abs(c.mass[i])
		c.tailErr += cmplx.Abs(c.tail[i])
	}
	c.mass, c.tail = c.mass[:last+1], c.tail[:last+1]
	// Terms beyond the last, under the Gaussian's own decay.
	if end := float64(len(c.spectrum)) * c.dt; v > 0 {
		rest := math.Exp(-v*end*end/2) * c.dt * (1 + 1/(v*end*c.dt))
		c.massErr += rest
		c.tailErr += rest / (end * end)
	}
}

// sums evaluates both at epsilon, before scaling.
func (c *curve) sums(epsilon float64, density bool) (tail, mass float64) {
	z := cmplx.Rect(1, -c.dt*epsilon)
	var w complex128
	for i, t := range c.tail {
		if i%64 == 0 {
			w = cmplx.Rect(1, -c.dt*float64(i)*epsilon)
		}
		tail += real(t)*real(w) - imag(t)*imag(w)
		if density {
			mass += real(c.mass[i])*real(w) - imag(c.mass[i])*imag(w)
		}
		w *= z
	}
	return tail, mass
}

func (c *curve) scale(epsilon float64) float64 { return math.Exp(c.logScale - c.theta*epsilon) }

// upper bounds delta at epsilon from above. One more release never makes delta smaller.
func (c *curve) upper(epsilon float64) float64 {
	t, _ := c.sums(epsilon, false)
	return c.scale(epsilon) * math.Max(0, t+c.tailErr) * (1 + c.slack)
}

// lower bounds delta at epsilon from below, without the Gaussian of blur. With its variance u as a variable, delta grows by half
// the density at epsilon, and that density is at most sqrt(blur/u) e^(blur/8) times the one at u = blur: together at most
// blur e^(blur/8) density.
func (c *curve) lower(epsilon float64) float64 {
	t, m := c.sums(epsilon, c.blur > 0)
	d := t - c.tailErr - c.blur*math.Exp(c.blur/8)*(m+c.massErr)
	d *= c.scale(epsilon)
	for _, a := range c.alias {
		if a.at > 0 { // nothing, however fast it may grow
			d -= a.at * math.Exp(a.rate*(c.ref-epsilon))
		}
	}
	return math.Max(0, d*(1-c.slack))
}

// curves are shares of the same composition, which may fail with probability inf.
type curves struct {
	of  []curve
	inf float64
}

func (c curves) upper(epsilon float64) float64 {
	sum := c.inf
	for i := range c.of {
		sum += c.of[i].upper(epsilon)
	}
	return math.Min(1, sum)
}

func (c curves) lower(epsilon float64) float64 {
	sum := c.inf * (1 - 1e-12)
	for i := range c.of {
		sum += c.of[i].lower(epsilon)
	}
	return sum
}

// solve returns the least epsilon >= 0 at which delta, a decreasing function, is at most want; a little above it where over, else a little
// below. near is where to look first. It is +Inf where delta never falls so low.
func (c curves) solve(want, near float64, delta func(float64) float64, over bool) float64 {
	// Far below ref the errors that are taken from a lower bound hide it.
	if over && delta(0) <= want {
		return 0
	}
	if c.inf >= want {
		return math.Inf(1)
	}
	width := math.Max(math.Min(1/(c.of[0].theta+1)/4, near/16), 1e-12)
	if !over {
		// A lower bound is worth something in a narrow window alone; a long step would leave it.
		width /= 64
	}
	lo, hi := 0.0, math.Max(near, width)
	flo, fhi := math.Inf(1), 0.0
	value := func(x float64) float64 { return math.Log(math.Max(delta(x), 1e-300) / want) }
	// The lower of the ends is known to lie above want, the higher not to.
	if fhi = value(hi); fhi > 0 {
		for step := width; fhi > 0; step *= 2 {
			lo, flo = hi, fhi
			if hi += step; hi > 1e9 {
				return math.Inf(1)
			}
			fhi = value(hi)
		}
	} else {
		for step := width; ; step *= 2 {
			x := math.Max(hi-step, 0)
			f := value(x)
			if f > 0 {
				lo, flo = x, f
				break
			}
			if hi, fhi = x, f; x == 0 {
				return 0
			}
		}
	}
	for range 100 {
		if hi-lo <= 1e-9*math.Max(hi, 1e-4) {
			break
		}
		x := (lo + hi) / 2
		if !math.IsInf(flo, 1) && hi-lo < 8*width {
			// False position, held inside.
			w := math.Min(math.Max(flo/(flo-fhi), 0.02), 0.98)
			x = lo + w*(hi-lo)
		}
		if f := value(x); f > 0 {
			lo, flo = x, f
			fhi /= 2
		} else {
			hi, fhi = x, f
			flo /= 2
		}
	}
	if over {
		return hi
	}
	return lo
}
