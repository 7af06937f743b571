package nn

import (
	"math"

	"github.com/sotto-fl/sotto/model/kernel"
)

// scatter is the first-order scattering transform: an image's local means, and the local
// means of the moduli of its wavelet coefficients, at scales of octaves from 1 pixel and at
// angles directions. It is stable under small shifts and deformations, has nothing to train, and
// is the same for every client: features of it under a linear model train with
// few parameters and little noise (Tramèr, Boneh 2021, arXiv:2011.11660, who use two orders).
//
// Wavelets are Morlet's of Bruna and Mallat, 2013, arXiv:1203.1513, in the constants of Kymatio: at scale j a
// Gaussian envelope of standard deviation 0.8 2^j along the wave and 2^j 3.2/angles ... across it, and a
// frequency of 3 pi/4 2^-j. Means are Gaussian of 0.8 2^(scales-1), at every 2^scales-th pixel. Scale j is
// computed at every 2^j-th pixel, where it is band-limited. Images are mirrored at their borders.
type scatter struct {
	step
	path   *kernel.Path
	banks  []bank
	pad    int
	padded []float32 // one channel of an image, mirrored
	line   []float32 // scratch of the means
}

// bank are the wavelets of one scale.
type bank struct {
	stride, size int       // pixels between outputs; side of the kernel
	h, w         int       // of the outputs
	taps         []float32 // (size, size, 2*angles): real parts, then imaginary parts
	out          []float32 // (h, w, 2*angles)
	moduli       []float32 // (angles, h, w)
	rows, cols   []window  // means: out.H of them over h, out.W over w
	product      kernel.Product
}

func newScatter(s step) *scatter {
	l := &scatter{step: s, path: kernel.Default()}
	for j := range s.Scales {
		b := newBank(j, s)
		l.banks = append(l.banks, b)
		l.pad = max(l.pad, b.size/2)
	}
	l.padded = make([]float32, (s.in.H+2*l.pad)*(s.in.W+2*l.pad))
	l.line = make([]float32, s.in.W)
	for i := range l.banks {
		b, wide := &l.banks[i], s.in.W+2*l.pad
		b.product = kernel.Product{
			Reps: b.h, Rows: b.w, Cols: 2 * s.Angles, Segs: b.size, Depth: b.size,
			ARep: b.stride * wide, ARow: b.stride, ASeg: wide, ADepth: 1,
			BSeg: b.size * 2 * s.Angles, BDepth: 2 * s.Angles,
			CRep: b.w * 2 * s.Angles, CRow: 2 * s.Angles,
		}
	}
	return l
}

// newBank samples the wavelets of scale j. Outputs lie in the middle of their stride x stride pixels, so
// that a stride of 2 has an even kernel.
func newBank(j int, s step) bank {
	scale := math.Ldexp(1, j)
	stride := 1 << j
	sigma, xi, slant := 0.8*scale, 3*math.Pi/4/scale, 4/float64(s.Angles)
	across := sigma / slant
	radius := int(math.Ceil(3 * max(sigma, across)))
	size := 2*radius + 1
	if stride > 1 {
		size = 2 * radius
	}
	b := bank{stride: stride, size: size, h: s.in.H / stride, w: s.in.W / stride}
	b.taps = make([]float32, size*size*2*s.Angles)
	b.out = make([]float32, b.h*b.w*2*s.Angles)
	b.moduli = make([]float32, s.Angles*b.h*b.w)
	middle := float64(size-1) / 2
	for a := range s.Angles {
		sin, cos := math.Sincos(math.Pi * float64(a) / float64(s.Angles))
		envelope, re, im := make([]float64, size*size), make([]float64, size*size), make([]float64, size*size)
		var total, bias, norm float64
		for y := range size {
			for x := range size {
				u, v := float64(x)-middle, float64(y)-middle
				along, side := u*cos+v*sin, -u*sin+v*cos
				e := math.Exp(-(along*along/(sigma*sigma) + side*side/(across*across)) / 2)
				i := y*size + x
				envelope[i], re[i], im[i] = e, e*math.Cos(xi*along), e*math.Sin(xi*along)
				total += e
				bias += re[i]
			}
		}
		for i, e := range envelope {
			re[i] -= e * bias / total // a constant image has no coefficient
			norm += math.Hypot(re[i], im[i])
		}
		for i := range envelope {
			b.taps[i*2*s.Angles+a] = float32(re[i] / norm)
			b.taps[i*2*s.Angles+s.Angles+a] = float32(im[i] / norm)
		}
	}
	spread := 0.8 * math.Ldexp(1, s.Scales-1)
	b.rows = means(s.out.H, b.h, 1<<s.Scales, stride, spread)
	b.cols = means(s.out.W, b.w, 1<<s.Scales, stride, spread)
	return b
}

// window is a local mean: weights that sum to 1, of the points from on.
type window struct {
	from    int
	weights []float32
}

// means are out Gaussian windows, step pixels apart and cut at 4 standard deviations, over in points that
// lie stride pixels apart.
func means(out, in, step, stride int, sigma float64) []window {
	all := make([]window, out)
	for o := range all {
		centre := float64(o*step) + float64(step-1)/2
		sum := 0.0
		var w []float64
		for i := range in {
			d := (float64(i*stride) + float64(stride-1)/2 - centre) / sigma
			if math.Abs(d) > 4 {
				continue
			}
			if w == nil {
				all[o].from = i
			}
			w = append(w, math.Exp(-d*d/2))
			sum += w[len(w)-1]
		}
		for _, v := range w {
			all[o].weights = append(all[o].weights, float32(v/sum))
		}
	}
	return all
}

// apply transforms one example, (channel, height, width) both.
func (l *scatter) apply(x, y []float32) {
	in, out := l.in, l.out
	pixels, cells := in.H*in.W, out.H*out.W
	perChannel := 1 + l.Scales*l.Angles
	for c := range in.C {
		image := x[c*pixels : (c+1)*pixels]
		dst := y[c*perChannel*cells : (c+1)*perChannel*cells]
		l.mirror(image)
		first := &l.banks[0]
		l.mean(dst[:cells], image, first)
		dst = dst[cells:]
		for i := range l.banks {
			b := &l.banks[i]
			l.convolve(b)
			for a := range l.Angles {
				l.mean(dst[:cells], b.moduli[a*b.h*b.w:(a+1)*b.h*b.w], b)
				dst = dst[cells:]
			}
		}
	}
}

// mirror fills padded; the border pixel itself is not repeated.
func (l *scatter) mirror(image []float32) {
	h, w, p := l.in.H, l.in.W, l.pad
	wide := w + 2*p
	for y := range h + 2*p {
		src, dst := image[fold(y-p, h)*w:][:w], l.padded[y*wide:][:wide]
		copy(dst[p:], src)
		for x := range p {
			dst[x] = src[fold(x-p, w)]
			dst[p+w+x] = src[fold(w+x, w)]
		}
	}
}

// fold mirrors i into 0 to n-1.
func fold(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = ((i % period) + period) % period
	if i >= n {
		i = period - i
	}
	return i
}

// convolve fills a scale's moduli from padded.
func (l *scatter) convolve(b *bank) {
	wide := l.in.W + 2*l.pad
	n := 2 * l.Angles
	// The first output's kernel starts where its middle is that of its pixels.
	start := l.pad - (b.size-b.stride)/2
	if b.stride == 1 {
		start = l.pad - b.size/2
	}
	from := l.padded[start*wide+start:]
	if l.path.SIMD() {
		b.product.Run(l.path, from, b.taps, b.out, nil)
	} else {
		clear(b.out)
		for y := range b.h {
			for x := range b.w {
				to := b.out[(y*b.w+x)*n:][:n]
				for r := range b.size {
					row := from[(y*b.stride+r)*wide+x*b.stride:][:b.size]
					for k, v := range row {
						for i, t := range b.taps[(r*b.size+k)*n:][:n] {
							to[i] += v * t
						}
					}
				}
			}
		}
	}
	cells := b.h * b.w
	for i := range cells {
		v := b.out[i*n:][:n]
		for a := range l.Angles {
			re, im := v[a], v[l.Angles+a]
			b.moduli[a*cells+i] = float32(math.Sqrt(float64(re*re) + float64(im*im)))
		}
	}
}

// mean writes the local means of a plane of a scale to dst.
func (l *scatter) mean(dst, plane []float32, b *bank) {
	for o, r := range b.rows {
		line := l.line[:b.w]
		clear(line)
		for y, c := range r.weights {
			for x, v := range plane[(r.from+y)*b.w:][:b.w] {
				line[x] += c * v
			}
		}
		for q, k := range b.cols {
			var sum float32
			from := line[k.from:][:len(k.weights)]
			for x, c := range k.weights {
				sum += c * from[x]
			}
			dst[o*len(b.cols)+q] = sum
		}
	}
}
