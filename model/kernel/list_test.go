package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sprinkled is random data with zeros, and now and then a special value.
func sprinkled(t *testing.T, r *rand.Rand, n int, zeros float32, special bool) []float32 {
	s := guarded(t, r, n)
	for i := range s {
		if s[i] == 0 {
			s[i] = 1
		}
		if r.Float32() < zeros {
			s[i] = 0
		} else if special && r.IntN(9) == 0 {
			s[i] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), 1e-45}[r.IntN(5)]
		}
	}
	return s
}

// shares of zeros that the tests try: none, some, all.
var zeroShares = []float32{0, 0.3, 0.9, 1}

func same32(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// entry is one member of a list.
type entry struct {
	offset int32
	weight float32
}

// groups returns the entries of a list group by group.
func groups(l *List) (out [][]entry) {
	at := 0
	for _, n := range l.Counts[:l.groups] {
		var g []entry
		for range n {
			g = append(g, entry{l.Offset[at], l.Weight[at]})
			at++
		}
		out = append(out, g)
	}
	return out
}

func equalGroups(a, b [][]entry) bool {
	return slices.EqualFunc(a, b, func(a, b []entry) bool {
		return slices.EqualFunc(a, b, func(a, b entry) bool { return a.offset == b.offset && same32(a.weight, b.weight) })
	})
}

// guardedList is a list whose arrays end at unreadable pages.
func guardedList(t *testing.T, r *rand.Rand, groups, entries int) *List {
	return &List{Counts: integers(guarded(t, r, groups)), Offset: integers(guarded(t, r, entries+Slack)), Weight: guarded(t, r, entries+Slack)}
}

func TestCompress(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(11, 1))
		for range 300 {
			rows, n := 1+r.IntN(9), 1+r.IntN(70)
			if r.IntN(50) == 0 {
				n += 2 * maxRun
			}
			step := n + r.IntN(5)
			tabStep := []int{0, n, n + 3}[r.IntN(3)]
			g := sprinkled(t, r, (rows-1)*step+n, zeroShares[r.IntN(4)], r.IntN(2) == 0)
			tab := integers(guarded(t, r, (rows-1)*tabStep+n))
			l := guardedList(t, r, rows+1, rows*n+1)
			p.Compress(l, []float32{7}, 1, 1, 1, []int32{5}, 0) // the list has begun
			p.Compress(l, g, rows, n, step, tab, tabStep)
			want := [][]entry{{{5, 7}}}
			for i := range rows {
				var w []entry
				for j := range n {
					if v := g[i*step+j]; v != 0 {
						w = append(w, entry{tab[i*tabStep+j], v})
					}
				}
				want = append(want, w)
			}
			if got := groups(l); !equalGroups(got, want) {
				t.Fatalf("%d rows of %d: got %v, want %v", rows, n, got, want)
			}
		}
	})
}

func TestCompressTaps(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		if p.HasSets() {
			t.Skip("sets serve instead")
		}
		r := rand.New(rand.NewPCG(12, 1))
		for range 300 {
			rows, n, taps := 1+r.IntN(9), 1+r.IntN(70), 1+r.IntN(5)
			step := n + r.IntN(5)
			g := sprinkled(t, r, (rows-1)*step+n, zeroShares[r.IntN(4)], r.IntN(2) == 0)
			arg := bytesOf(guarded(t, r, (len(g)+Slack+3)/4))[:len(g)+Slack]
			for i := range arg {
				arg[i] = uint8(r.IntN(taps))
			}
			tab := integers(guarded(t, r, n))
			l := guardedList(t, r, rows*taps, rows*n)
			p.CompressTaps(l, g, arg, rows, n, step, taps, tab)
			var want [][]entry
			for i := range rows {
				for tap := range taps {
					var w []entry
					for j := range n {
						if v := g[i*step+j]; v != 0 && int(arg[i*step+j]) == tap {
							w = append(w, entry{tab[j], v})
						}
					}
					want = append(want, w)
				}
			}
			if got := groups(l); !equalGroups(got, want) {
				t.Fatalf("%d rows of %d, %d taps: got %v, want %v", rows, n, taps, got, want)
			}
		}
	})
}

func TestSums(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(13, 1))
		for range 400 {
			rows, cols := 1+r.IntN(5), 1+r.IntN(150)
			srcRow, dstRow := cols+r.IntN(9), cols+r.IntN(9)
			window := func(row int) int { return (rows-1)*row + cols }
			src := guarded(t, r, window(srcRow)+40)
			dst := guarded(t, r, window(dstRow)+40)
			count := r.IntN(12)
			longest := 20
			if r.IntN(50) == 0 {
				longest = maxWork/100 + 1
			}
			l := guardedList(t, r, count, count*longest)
			place := integers(guarded(t, r, max(1, count)))
			for i := range count {
				place[i] = int32(4 * r.IntN(41))
				l.Counts[i] = int32(r.IntN(longest))
				for range l.Counts[i] {
					l.Offset[l.length] = int32(4 * r.IntN(41))
					l.Weight[l.length] = r.Float32() - 0.5
					l.length++
				}
			}
			l.groups = count
			want := make([]float64, len(dst))
			for i, v := range dst {
				want[i] = float64(v)
			}
			for i, g := range groups(l) {
				for _, e := range g {
					for row := range rows {
						for j := range cols {
							want[int(place[i])/4+row*dstRow+j] += float64(e.weight) * float64(src[int(e.offset)/4+row*srcRow+j])
						}
					}
				}
			}
			p.Sums(l, place, src, dst, rows, cols, srcRow, dstRow)
			for i := range dst {
				if math.Abs(float64(dst[i])-want[i]) > 1e-6*float64(20+longest) {
					t.Fatalf("%d groups of %dx%d: element %d is %v, want %v", count, rows, cols, i, dst[i], want[i])
				}
			}
		}
	})
}

func TestLive(t *testing.T) {
	onEachPath(t, func(t *testing.T, p *Path) {
		r := rand.New(rand.NewPCG(14, 1))
		for range 200 {
			pixels, channels := 1+r.IntN(9), 1+r.IntN(40)
			n := pixels * channels
			dy, y := sprinkled(t, r, n, 0.2, true), sprinkled(t, r, n, zeroShares[r.IntN(4)], true)
			arg := bytesOf(guarded(t, r, (n+Slack+3)/4))[:n+Slack]
			for i := range arg {
				arg[i] = uint8(r.IntN(4))
			}
			place := integers(guarded(t, r, pixels))
			var taps [16]int32
			for i := range taps {
				taps[i] = int32(r.IntN(1000))
			}
			keep, offset, relu := guarded(t, r, n), integers(guarded(t, r, n)), r.IntN(2) == 0
			p.Live(dy, y, arg, pixels, channels, place, &taps, keep, offset, relu)
			for i := range n {
				want := dy[i]
				if relu && y[i] <= 0 {
					want = 0
				}
				if !same32(keep[i], want) || offset[i] != place[i/channels]+taps[arg[i]] {
					t.Fatalf("%dx%d at %d: %v at %d, want %v at %d", pixels, channels, i, keep[i], offset[i], want, place[i/channels]+taps[arg[i]])
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	paths := append(slices.Clone(available), portable)
	r := rand.New(rand.NewPCG(15, 1))
	for _, p := range paths {
		for range 200 {
			rows, cols := 1+r.IntN(40), 1+r.IntN(40)
			sr, dr := cols+r.IntN(5), rows+r.IntN(5)
			src, dst := sprinkled(t, r, (rows-1)*sr+cols, 0.1, true), guarded(t, r, (cols-1)*dr+rows)
			before := slices.Clone(dst)
			p.Transpose(dst, dr, src, sr, rows, cols)
			for j := range cols {
				for i := range min(dr, len(dst)-j*dr) {
					want := before[j*dr+i]
					if i < rows {
						want = src[i*sr+j]
					}
					if !same32(dst[j*dr+i], want) {
						t.Fatalf("%s: %dx%d at (%d,%d): %v, want %v", p.name, rows, cols, j, i, dst[j*dr+i], want)
					}
				}
			}
		}
	}
}

// The sparse work of cifar-cnn's second convolution, and its pooling.
func BenchmarkSparse(b *testing.B) {
	for _, p := range available {
		if !p.SIMD() {
			continue
		}
		r := rand.New(rand.NewPCG(1, 1))
		const pixels, channels = 64, 64
		g, y := random(r, pixels*channels), random(r, pixels*channels)
		for i := range g {
			g[i] = 1
			if r.IntN(100) >= 65 {
				g[i] = 0
			}
		}
		arg := make([]uint8, len(g)+Slack)
		for i := range arg {
			arg[i] = uint8(r.IntN(4))
		}
		place, tab := make([]int32, 4*pixels), make([]int32, channels)
		for i := range place {
			place[i] = int32(4 * 32 * (i/4/8*18*2 + i/4%8*2 + i%4/2*18 + i%2))
		}
		for i := range tab {
			tab[i] = int32(4 * 288 * i)
		}
		x, w, dx := random(r, 18*18*32), random(r, 64*288), make([]float32, 18*18*32)
		l := NewList(4*pixels, len(g))
		if !p.HasSets() {
			b.Run(p.name+"/list", func(b *testing.B) {
				for b.Loop() {
					l.Reset()
					p.CompressTaps(l, g, arg, pixels, channels, channels, 4, tab)
				}
			})
			b.Run(p.name+"/dX", func(b *testing.B) {
				for b.Loop() {
					for k := range 3 {
						p.Sums(l, place, w[k*96:], dx[k*18*32:], 1, 96, 96, 18*32)
					}
				}
			})
		}
		t, off := make([]float32, len(g)), make([]int32, len(g))
		p.Transpose(t, pixels, g, channels, pixels, channels)
		for i := range off {
			off[i] = place[i%pixels*4+r.IntN(4)]
		}
		b.Run(p.name+"/list-dW", func(b *testing.B) {
			for b.Loop() {
				l.Reset()
				p.Compress(l, t, channels, pixels, pixels, off, pixels)
			}
		})
		b.Run(p.name+"/dW", func(b *testing.B) {
			for b.Loop() {
				p.Sums(l, tab, x, w, 3, 96, 18*32, 96)
			}
		})
		taps := []int64{0, 4 * channels, 4 * 16 * channels, 4 * 17 * channels}
		full := random(r, 256*channels)
		b.Run(p.name+"/pool", func(b *testing.B) {
			for b.Loop() {
				for row := range 8 {
					p.MaxPool(full[row*2*16*channels:], taps, y[row*8*channels:], arg[row*8*channels:], channels, 8, 2*channels, true)
				}
			}
		})
		b.Run(p.name+"/live", func(b *testing.B) {
			for b.Loop() {
				p.Live(g, y, arg, pixels, channels, place, (*[16]int32)(tab), t, off, true)
			}
		})
		b.Run(p.name+"/transpose", func(b *testing.B) {
			for b.Loop() {
				p.Transpose(t, pixels, g, channels, pixels, channels)
			}
		})
		if !p.HasSets() {
			continue
		}
		sets := NewSets(pixels, channels)
		var groups []BitGroup
		for i := range 4 * pixels {
			x := 2 * (i % 8)
			if x > 7 {
				x -= 7
			}
			groups = append(groups, sets.Group(i/32*8+x, i/8%4, place[(i/32*8+x)*4+i/8%4]))
		}
		b.Run(p.name+"/sets", func(b *testing.B) {
			for b.Loop() {
				sets.Fill(p, g, arg)
			}
		})
		b.Run(p.name+"/dX-sets", func(b *testing.B) {
			for b.Loop() {
				for k := range 3 {
					sets.Sum(p, groups, g, w[k*96:], dx[k*18*32:], 1, 96, 288, 96, 18*32, nil)
				}
			}
		})
		// The first convolution: 16x16 pooled pixels of 32 channels, two rows at a time.
		const row = 104
		image, quads, selector, dw := random(r, 34*34*3), make([]float32, 4*row*5), make([]int32, 2*16*32), make([]float32, 27*32)
		zero := []int32{0}
		first, out := random(r, 256*32), random(r, 256*32)
		arg = append(arg, arg...)
		b.Run(p.name+"/first-live", func(b *testing.B) {
			for b.Loop() {
				for y := range 16 {
					p.Live(first[y*512:], out[y*512:], arg[y*512:], 1, 512, zero, &Selectors, first[y*512:], selector, true)
				}
			}
		})
		b.Run(p.name+"/first-quads", func(b *testing.B) {
			for b.Loop() {
				for y := range 8 {
					p.Quads(quads, image[4*y*102:], 5, 99, 3, 102, 102, row)
				}
			}
		})
		b.Run(p.name+"/first-selected", func(b *testing.B) {
			for b.Loop() {
				for y := range 8 {
					for k := range 3 {
						p.SumSelected(dw[k*9*32:], quads[4*k*row:], selector, first[y*1024:], 9, 32, 2, 16, 2*row, 6)
					}
				}
			}
		})
		bias := Product{Reps: 1, Rows: 1, Cols: 32, Segs: 1, Depth: 256, BDepth: 32, CRow: 32}
		b.Run(p.name+"/first-bias", func(b *testing.B) {
			for b.Loop() {
				bias.Run(p, []float32{1}, first, dw[:32], dw[:32])
			}
		})
	}
}
