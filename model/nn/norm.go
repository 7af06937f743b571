package nn

import "math"

const normEpsilon = 1e-5 // PyTorch's default

// groupNorm normalises each group of channels of each example to mean 0 and
// variance 1, then scales and shifts each channel. Statistics are per example,
// so an example's gradient does not depend on the rest of the batch. Wu and He,
// "Group Normalization", 2018, arXiv:1803.08494.
type groupNorm struct {
	step
	views
	y       []float32
	xhat    []float32 // normalised inputs
	inverse []float64 // 1/sqrt(variance+epsilon), (batch, groups)
}

func newGroupNorm(s step, v views, batch int) *groupNorm {
	return &groupNorm{step: s, views: v, xhat: make([]float32, batch*s.out.Size()), inverse: make([]float64, batch*s.Groups)}
}

func (l *groupNorm) forward(x []float32, batch int) []float32 {
	for e := range batch {
		l.apply(l.example(x, e), l.example(l.y, e), e)
	}
	return l.y[:batch*l.in.Size()]
}

func (l *groupNorm) apply(x, y []float32, e int) {
	c, per := l.in.C, l.in.C/l.Groups
	count := float64(l.in.H * l.in.W * per)
	xhat := l.example(l.xhat, e)
	for g := range l.Groups {
		var sum, squares float64
		for at := g * per; at < len(x); at += c {
			for _, v := range x[at : at+per] {
				sum += float64(v)
			}
		}
		mean := sum / count
		for at := g * per; at < len(x); at += c {
			for _, v := range x[at : at+per] {
				squares += (float64(v) - mean) * (float64(v) - mean)
			}
		}
		inverse := 1 / math.Sqrt(squares/count+normEpsilon)
		l.inverse[e*l.Groups+g] = inverse
		for at := g * per; at < len(x); at += c {
			for i := at; i < at+per; i++ {
				xhat[i] = float32((float64(x[i]) - mean) * inverse)
				y[i] = xhat[i]*l.w[i%c] + l.b[i%c]
			}
		}
	}
}

func (l *groupNorm) gradient(dy []float32, lo, hi int) {
	for e := lo; e < hi; e++ {
		l.accumulate(l.example(dy, e), l.dw, l.db, e)
	}
}

func (l *groupNorm) accumulate(dy, dw, db []float32, e int) {
	c, xhat := l.in.C, l.example(l.xhat, e)
	for at := 0; at < len(dy); at += c {
		for i := range c {
			dw[i] += dy[at+i] * xhat[at+i]
			db[i] += dy[at+i]
		}
	}
}

func (l *groupNorm) backward(dy, dx []float32, batch int) {
	for e := range batch {
		l.carry(l.example(dy, e), l.example(dx, e), e)
	}
}

func (l *groupNorm) carry(dy, dx []float32, e int) {
	c, per := l.in.C, l.in.C/l.Groups
	count := float64(l.in.H * l.in.W * per)
	xhat := l.example(l.xhat, e)
	for g := range l.Groups {
		// dx = inverse*(d - mean(d) - xhat*mean(d*xhat)) with d = dy*weight.
		var sum, dot float64
		for at := g * per; at < len(dy); at += c {
			for i := at; i < at+per; i++ {
				d := float64(dy[i]) * float64(l.w[i%c])
				sum += d
				dot += d * float64(xhat[i])
			}
		}
		sum, dot = sum/count, dot/count
		inverse := l.inverse[e*l.Groups+g]
		for at := g * per; at < len(dy); at += c {
			for i := at; i < at+per; i++ {
				d := float64(dy[i]) * float64(l.w[i%c])
				dx[i] = float32(inverse * (d - sum - float64(xhat[i])*dot))
			}
		}
	}
}

func (l *groupNorm) example(x []float32, e int) []float32 {
	return x[e*l.in.Size() : (e+1)*l.in.Size()]
}
