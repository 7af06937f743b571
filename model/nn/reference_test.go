package nn

import "math"

// reference computes the mean loss of an architecture in float64, by the
// definitions of the layers, in (C, H, W) order and with canonical parameters.
// It shares no code with Network.
func reference(a Architecture, params, x []float64, labels []int32) float64 {
	size := a.Input.Size()
	var sum float64
	for e, label := range labels {
		scores := referenceScores(a, params, x[e*size:(e+1)*size])
		top := scores[0]
		for _, v := range scores {
			top = max(top, v)
		}
		var z float64
		for _, v := range scores {
			z += math.Exp(v - top)
		}
		sum += top + math.Log(z) - scores[label]
	}
	return sum / float64(len(labels))
}

func referenceScores(a Architecture, params, x []float64) []float64 {
	s := a.Input
	take := func(n int) []float64 {
		p := params[:n]
		params = params[n:]
		return p
	}
	for _, l := range a.Layers {
		switch l.Kind {
		case Conv2D:
			w, b := take(l.Out*s.C*l.Kernel*l.Kernel), take(l.Out)
			x, s = referenceConv(l, w, b, x, s)
		case MaxPool, AvgPool:
			x, s = referencePool(l, x, s)
		case Dense:
			w, b := take(l.Out*len(x)), take(l.Out)
			y := make([]float64, l.Out)
			for o := range y {
				y[o] = b[o]
				for i, v := range x {
					y[o] += w[o*len(x)+i] * v
				}
			}
			x, s = y, Shape{C: l.Out, H: 1, W: 1}
		case GroupNorm:
			w, b := take(s.C), take(s.C)
			x = referenceNorm(l, w, b, x, s)
		case ReLU, Tanh:
			y := make([]float64, len(x))
			for i, v := range x {
				if l.Kind == ReLU {
					y[i] = math.Max(v, 0)
				} else {
					y[i] = math.Tanh(v)
				}
			}
			x = y
		case Flatten:
			s = Shape{C: s.Size(), H: 1, W: 1}
		}
	}
	return x
}

func referenceConv(l Layer, w, b, x []float64, s Shape) ([]float64, Shape) {
	k, stride := l.Kernel, max(1, l.Stride)
	out := Shape{C: l.Out, H: (s.H+2*l.Padding-k)/stride + 1, W: (s.W+2*l.Padding-k)/stride + 1}
	y := make([]float64, out.Size())
	for o := range out.C {
		for oy := range out.H {
			for ox := range out.W {
				v := b[o]
				for c := range s.C {
					for ky := range k {
						for kx := range k {
							iy, ix := oy*stride-l.Padding+ky, ox*stride-l.Padding+kx
							if iy >= 0 && iy < s.H && ix >= 0 && ix < s.W {
								v += w[((o*s.C+c)*k+ky)*k+kx] * x[(c*s.H+iy)*s.W+ix]
							}
						}
					}
				}
				y[(o*out.H+oy)*out.W+ox] = v
			}
		}
	}
	return y, out
}

func referencePool(l Layer, x []float64, s Shape) ([]float64, Shape) {
	stride := l.Stride
	if stride == 0 {
		stride = l.Window
	}
	out := Shape{C: s.C, H: (s.H-l.Window)/stride + 1, W: (s.W-l.Window)/stride + 1}
	y := make([]float64, out.Size())
	for c := range out.C {
		for oy := range out.H {
			for ox := range out.W {
				best, sum := math.Inf(-1), 0.0
				for ky := range l.Window {
					for kx := range l.Window {
						v := x[(c*s.H+oy*stride+ky)*s.W+ox*stride+kx]
						best, sum = math.Max(best, v), sum+v
					}
				}
				if l.Kind == AvgPool {
					best = sum / float64(l.Window*l.Window)
				}
				y[(c*out.H+oy)*out.W+ox] = best
			}
		}
	}
	return y, out
}

func referenceNorm(l Layer, w, b, x []float64, s Shape) []float64 {
	y := make([]float64, len(x))
	per, pixels := s.C/l.Groups, s.H*s.W
	for g := range l.Groups {
		group := x[g*per*pixels : (g+1)*per*pixels]
		var mean, variance float64
		for _, v := range group {
			mean += v / float64(len(group))
		}
		for _, v := range group {
			variance += (v - mean) * (v - mean) / float64(len(group))
		}
		for i, v := range group {
			c := g*per + i/pixels
			y[g*per*pixels+i] = (v-mean)/math.Sqrt(variance+1e-5)*w[c] + b[c]
		}
	}
	return y
}
