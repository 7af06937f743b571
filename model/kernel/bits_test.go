package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Sums over sets are those over the gradients that are not zero, tap by tap.
func TestSets(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		if !p.HasSets() {
			t.Skip("no such kernels")
		}
		r := rand.New(rand.NewPCG(20, 1))
		for range 300 {
			pixels, channels := 1+r.IntN(9), 1+r.IntN(150)
			rows, cols := 1+r.IntN(5), 1+r.IntN(120)
			g := sprinkled(t, r, pixels*channels, zeroShares[r.IntN(4)], false)
			arg := bytesOf(guarded(t, r, (len(g)+Slack+3)/4))[:len(g)+Slack]
			for i := range arg {
				arg[i] = uint8(r.IntN(4))
			}
			srcRow, dstRow := cols+r.IntN(9), cols+r.IntN(9)
			step := (rows-1)*srcRow + cols + r.IntN(9)
			src, dst := guarded(t, r, (channels-1)*step+(rows-1)*srcRow+cols), guarded(t, r, (rows-1)*dstRow+cols+40)
			want := make([]float64, len(dst))
			for i, v := range dst {
				want[i] = float64(v)
			}
			sets := NewSets(pixels, channels)
			sets.Fill(p, random(r, len(g)), arg) // of another example
			sets.Fill(p, g, arg)
			var groups []BitGroup
			for i := range pixels {
				for tap := range 4 {
					place := r.IntN(41)
					groups = append(groups, sets.Group(i, tap, int32(4*place)))
					for c := range channels {
						if int(arg[i*channels+c]) != tap {
							continue
						}
						for row := range rows {
							for j := range cols {
								want[place+row*dstRow+j] += float64(g[i*channels+c]) * float64(src[c*step+row*srcRow+j])
							}
						}
					}
				}
			}
			sets.Sum(p, groups, g, src, dst, rows, cols, step, srcRow, dstRow, nil)
			for i := range dst {
				if math.Abs(float64(dst[i])-want[i]) > 1e-6*float64(20+4*channels) {
					t.Fatalf("%d pixels of %d channels, %dx%d: element %d is %v, want %v", pixels, channels, rows, cols, i, dst[i], want[i])
				}
			}
		}
	})
}

// A gradient that is not a number is live, and nothing reads what dead ones would multiply.
func TestSetsHoldNaN(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		if !p.HasSets() {
			t.Skip("no such kernels")
		}
		nan := float32(math.NaN())
		g, arg := []float32{0, nan, 0, 2}, make([]uint8, 4+Slack)
		sets := NewSets(1, 4)
		sets.Fill(p, g, arg)
		if sets.words[0] != 0b1010 {
			t.Fatalf("set is %b, want 1010", sets.words[0])
		}
		g[1] = 1
		sets.Fill(p, g, arg)
		dst := make([]float32, 1)
		sets.Sum(p, []BitGroup{sets.Group(0, 0, 0)}, g, []float32{nan, 3, nan, 5}, dst, 1, 1, 1, 1, 1, nil)
		if dst[0] != 13 {
			t.Errorf("sum is %v, want 13", dst[0])
		}
	})
}

func TestSelected(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		if !p.HasQuads() {
			t.Skip("no such kernels")
		}
		r := rand.New(rand.NewPCG(21, 1))
		for range 200 {
			channels, rows, pixels := 16*(1+r.IntN(3)), 1+r.IntN(3), 1+r.IntN(6)
			n, pixel := 1+r.IntN(12), 1+r.IntN(7)
			right, down := 1+r.IntN(9), 20+r.IntN(80)
			wide := (pixels-1)*pixel + n // quads of a row
			row := (wide + 7) &^ 7
			apart := wide + r.IntN(9)
			x, quads := guarded(t, r, (rows-1)*apart+wide+right+down), Alloc(4*rows*row)
			p.Quads(quads, x, rows, wide, right, down, apart, row)
			size := rows * pixels * channels
			arg := make([]uint8, size+Slack)
			for i := range arg {
				arg[i] = uint8(r.IntN(4))
			}
			g, keep, selector := guarded(t, r, size), guarded(t, r, size), integers(guarded(t, r, size))
			p.Live(g, g, arg, rows*pixels, channels, make([]int32, rows*pixels), &Selectors, keep, selector, false)
			dst := guarded(t, r, n*channels)
			want := make([]float64, len(dst))
			for i, v := range dst {
				want[i] = float64(v)
			}
			for y := range rows {
				for px := range pixels {
					for c := range channels {
						at := (y*pixels+px)*channels + c
						from := px*pixel + int(arg[at]%2)*right + int(arg[at]/2)*down
						for j := range n {
							want[j*channels+c] += float64(g[at]) * float64(x[y*apart+from+j])
						}
					}
				}
			}
			p.SumSelected(dst, quads, selector, keep, n, channels, rows, pixels, row, pixel)
			for i := range dst {
				if math.Abs(float64(dst[i])-want[i]) > 1e-5 {
					t.Fatalf("%d quads of %dx%d pixels of %d channels: element %d is %v, want %v", n, rows, pixels, channels, i, dst[i], want[i])
				}
			}
		}
	})
}
