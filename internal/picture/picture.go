// Package picture makes random pictures for benchmarks of training.
//
// How long a training step takes depends on how many outputs of a convolution
// survive its pool and ReLU, and that on how alike neighbouring pixels are. White
// noise keeps 92 % of those of cifar-cnn's first convolution alive; CIFAR-10 keeps
// 60 to 64 % (BenchmarkLive in benchmarks), and so do these pictures.
package picture

import (
	"math"
	"math/rand/v2"
)

// Fill fills x with pictures of (channels, height, width), of mean 0 and variance
// 1. They have the statistics of natural ones: the same variance in each octave of
// spatial frequency, that is a power of 1/f^2 (Field, "Relations between the
// statistics of natural images and the response properties of cortical cells",
// Journal of the Optical Society of America A 4, 1987), and colours that mostly go
// together. The same r gives the same pictures.
func Fill(x []float32, channels, height, width int, r *rand.Rand) {
	size := channels * height * width
	for ; len(x) >= size; x = x[size:] {
		shared := field(height, width, r)
		for c := range channels {
			own := field(height, width, r)
			plane := x[c*height*width:][:height*width]
			for i := range plane {
				plane[i] = float32(math.Sqrt(0.9)*shared[i] + math.Sqrt(0.1)*own[i])
			}
		}
	}
}

// field is a random field of height by width with the same variance in each octave.
func field(height, width int, r *rand.Rand) []float64 {
	f := make([]float64, height*width)
	octaves := 0
	for cells := 1; cells < max(height, width); cells *= 2 {
		octaves++
	}
	for o := range octaves {
		cells := 1 << o
		grid := make([]float64, (cells+1)*(cells+1))
		for i := range grid {
			grid[i] = r.NormFloat64()
		}
		dy, dx := r.Float64(), r.Float64() // so that no pixel is always a corner
		for y := range height {
			for x := range width {
				v, gain := bilinear(grid, cells, (float64(y)+dy)/float64(height), (float64(x)+dx)/float64(width))
				f[y*width+x] += v / gain / math.Sqrt(float64(octaves))
			}
		}
	}
	return f
}

// bilinear is the value of a grid of cells by cells at a point of the unit square,
// and its standard deviation.
func bilinear(grid []float64, cells int, y, x float64) (v, deviation float64) {
	y, x = y*float64(cells), x*float64(cells)
	i, j := min(int(y), cells-1), min(int(x), cells-1)
	fy, fx := y-float64(i), x-float64(j)
	at := i*(cells+1) + j
	variance := 0.0
	for k, w := range [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx} {
		v += w * grid[at+k/2*(cells+1)+k%2]
		variance += w * w
	}
	return v, math.Sqrt(variance)
}
