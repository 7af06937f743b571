package accountant

import (
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/dsp/fourier"
)

// maxPoints bounds a transform. A million points take about a quarter of a second and 32 MB.
const maxPoints = 1 << 20

// tilted is a composed privacy loss distribution in a window about the losses that matter. The mass of P at loss
// (first+i) h is q[i] exp(-theta (loss - ref) + logScale): the tilt by e^(theta loss) is what lets a transform whose
// errors are relative to its largest value resolve a delta of 1e-12.
type tilted struct {
	h        float64
	first    int
	q        []float64
	theta    float64
	ref      float64 // a loss near the answer
	logScale float64
	inf      float64 // mass at infinite loss
	pointErr float64 // bound on the rounding error of each q
	outside  float64 // bound on the tilted mass outside the window, which wraps into it
	right    float64 // log of a bound on the untilted mass above the window
	slack    float64 // relative error of the masses themselves
}

// weights calls each(i, w) with w = exp(theta loss_i - peak) from the largest weight down, and returns peak. Weights are
// multiplied up from one another and set afresh every 64.
func (f pmf) weights(theta, h float64, each func(i int, w float64)) (peak float64) {
	i, dir := len(f.p)-1, -1
	if theta < 0 {
		i, dir = 0, 1
	}
	peak = theta * h * float64(f.first+i)
	fall := -math.Abs(theta * h)
	w, r := 1.0, math.Exp(fall)
	for k := range f.p {
		if k%64 == 0 {
			if w = math.Exp(fall * float64(k)); w == 0 {
				break
			}
		}
		each(i, w)
		w *= r
		i += dir
	}
	return peak
}

// logMGF returns log of the sum of p exp(theta loss).
func (f pmf) logMGF(theta, h float64) float64 {
	sum := 0.0
	peak := f.weights(theta, h, func(i int, w float64) { sum += f.p[i] * w })
	return peak + math.Log(sum)
}

// compose convolves each f[j] with itself n[j] times and all of them together. It reports false when the window would take more than maxPoints.
func compose(f []pmf, n []float64, h float64, g guess) (tilted, bool) {
	theta, ref := g.theta, g.epsilon
	k := make([]float64, len(f))
	t := tilted{h: h, theta: theta, ref: ref}
	logMass, steps := 0.0, 0.0
	for j := range f {
		k[j] = f[j].logMGF(theta, h)
		t.logScale += n[j] * k[j]
		logMass += n[j] * math.Log1p(-math.Min(f[j].inf, 1))
		steps += n[j]
	}
	t.inf = -math.Expm1(logMass)
	t.slack = 1e-12 * (1 + steps)
	least, most := 0.0, 0.0
	for j := range f {
		least += n[j] * float64(f[j].first) * h
		most += n[j] * float64(f[j].first+len(f[j].p)-1) * h
	}
	lo, hi := least, most
	if steps > 1 {
		lo, hi = window(f, n, h, t.logScale, g)
		lo, hi = math.Max(lo, least), math.Min(hi, most)
	}
	t.logScale -= theta * ref
	t.first = int(math.Floor(lo/h)) - 1
	points := int(math.Ceil(hi/h)) + 1 - t.first + 1
	if float64(points) > maxPoints || hi-lo > maxPoints*h {
		return t, false
	}
	size := transformSize(points)
	t.right = math.Inf(-1)
	end := float64(t.first+size) * h
	if end < most {
		t.right = g.logAlias + t.logScale - theta*(end-ref)
	}
	if lo > least || end < most {
		t.outside = 2 * math.Exp(g.logAlias)
	}
	if steps == 1 {
		t.q = make([]float64, size)
		f[0].fold(t.q, theta, k[0], h)
		t.pointErr = 0
	} else {
		t.transform(f, n, k, size)
	}
	// Rotate the circle so that q[0] is the start of the window.
	r := mod(t.first, size)
	q := make([]float64, size)
	copy(q, t.q[r:])
	copy(q[size-r:], t.q[:r])
	t.q = q
	return t, true
}

// fold adds the tilted masses onto a circle.
func (f pmf) fold(dst []float64, theta, logMGF, h float64) {
	end := f.first
	if theta >= 0 {
		end += len(f.p) - 1
	}
	scale := math.Exp(theta*h*float64(end) - logMGF)
	start := mod(f.first, len(dst))
	f.weights(theta, h, func(i int, w float64) {
		to := i + start
		if to >= len(dst) {
			to %= len(dst)
		}
		dst[to] += f.p[i] * w * scale
	})
}

func mod(i, n int) int {
	if i %= n; i < 0 {
		i += n
	}
	return i
}

// transform sets q to the inverse transform of the product of powers, and pointErr to a bound on its error.
//
// One transform errs by at most e0 in each value, for its input sums to 1; a product of powers then by the sum of
// n e0/|F| relative, and the inverse by the mean of that.
func (t *tilted) transform(f []pmf, n, k []float64, size int) {
	fft := fourier.NewFFT(size)
	buf := make([]float64, size)
	prod := make([]complex128, size/2+1)
	work := make([]complex128, size/2+1)
	logAbs := make([]float64, size/2+1)
	rel := make([]float64, size/2+1)
	e0 := 4 * ulp * math.Log2(float64(size))
	for j := range f {
		clear(buf)
		f[j].fold(buf, t.theta, k[j], t.h)
		fft.Coefficients(work, buf)
		// Below this the power is under e^-80: nothing, beside the values it is added to.
		floor := math.Exp(-160 / n[j])
		for i, c := range work {
			if rel[i] < 0 {
				continue
			}
			r2 := real(c)*real(c) + imag(c)*imag(c)
			if r2 < floor {
				rel[i] = -1
				continue
			}
			logAbs[i] += n[j] / 2 * math.Log(r2)
			rel[i] += n[j] * (e0/math.Sqrt(r2) + 4*ulp)
			prod[i] += complex(0, n[j]*math.Atan2(imag(c), real(c)))
		}
	}
	mass, err := 0.0, 0.0
	for i := range prod {
		if rel[i] < 0 || logAbs[i] < -80 {
			prod[i] = 0
			err += math.Exp(-80)
			continue
		}
		a := math.Exp(logAbs[i])
		mass += a
		err += a * math.Expm1(math.Min(rel[i], 1))
		prod[i] = cmplx.Rect(a/float64(size), imag(prod[i]))
	}
	t.q = fft.Sequence(buf, prod)
	t.pointErr = 2 / float64(size) * (err + e0*mass)
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

// window returns losses outside of which the tilted composition has at most mass e^g.logAlias on each side.
func window(f []pmf, n []float64, h, k0 float64, g guess) (lo, hi float64) {
	var up, down float64
	for j := range f {
		up += n[j] * f[j].logMGF(g.theta+g.up, h)
		down += n[j] * f[j].logMGF(g.theta+g.down, h)
	}
	return chernoff(k0, down, g.down, g.logAlias), chernoff(k0, up, g.up, g.logAlias)
}
