package kernel

import (
	"fmt"
	"unsafe"
)

// Product is a dense product C = init + A*B on a SIMD path. Every stride is in
// elements and arbitrary, so one kernel serves a matrix product, a transposed
// one, and a convolution: the window of an output pixel is Segs runs of Depth
// inputs, one run for each kernel row, and neighbouring pixels' windows overlap.
//
//	C[r][i][j] = init[r][i][j] + sum over s < Segs, k < Depth of
//	             A[r*ARep + i*ARow + s*ASeg + k*ADepth] * B[s*BSeg + k*BDepth + j]
//
// for r < Reps, i < Rows, j < Cols. Sums over k run in ascending order of (s, k).
// A Product may be reused and changed between calls, but is one goroutine's.
type Product struct {
	Reps, Rows, Cols, Segs, Depth int
	ARep, ARow, ASeg, ADepth      int
	BSeg, BDepth                  int
	CRep, CRow                    int
	IRep, IRow                    int // of init; 0 repeats it
	args                          [13]int64
}

// tile computes a block of C; see internal/gen/tile.go. s is strides in bytes.
type tile func(a, b, c, ini *float32, s *int64, reps, tail uintptr)

const (
	// maxWork is the multiplications of one call of a tile, unless one tile has
	// more: about 10 us, since assembly is not preempted.
	maxWork = 1 << 19
	// maxPanel is the bytes of B that should stay in an L1 cache.
	maxPanel = 48 << 10
	// maxDeep is the longest sum over k in one pass.
	maxDeep = 1024
)

// span is the number of elements from the first to the last that a walk of
// nested (count, stride) pairs touches.
func span(pairs ...[2]int) int {
	n := 1
	for _, p := range pairs {
		if p[0] < 1 || p[1] < 0 {
			panic(fmt.Sprintf("kernel: count %d with stride %d", p[0], p[1]))
		}
		n += (p[0] - 1) * p[1]
	}
	return n
}

// Run computes the product. init may be nil (zeros), c itself (accumulate, with
// IRep and IRow those of C), or a row such as a bias (IRep and IRow 0). C must
// not overlap A or B. It panics if a slice is too short or a size is below 1.
func (p *Product) Run(path *Path, a, b, c, init []float32) {
	// The sum of the extents; any negative factor makes the bound meaningless.
	reps, rows, segs, depth := p.Reps-1, p.Rows-1, p.Segs-1, p.Depth-1
	if reps|rows|segs|depth|(p.Cols-1)|p.ARep|p.ARow|p.ASeg|p.ADepth|p.BSeg|p.BDepth|p.CRep|p.CRow|p.IRep|p.IRow < 0 ||
		len(a) <= reps*p.ARep+rows*p.ARow+segs*p.ASeg+depth*p.ADepth ||
		len(b) < segs*p.BSeg+depth*p.BDepth+p.Cols ||
		len(c) < reps*p.CRep+rows*p.CRow+p.Cols ||
		init != nil && len(init) < reps*p.IRep+rows*p.IRow+p.Cols {
		panic(fmt.Sprintf("kernel: product %+v on slices of %d, %d, %d and %d", *p, len(a), len(b), len(c), len(init)))
	}
	ap, bp, cp := unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c)
	var ip *float32
	if init != nil {
		ip = unsafe.SliceData(init)
	}
	if p.Segs*p.Depth <= maxDeep {
		p.pass(path, ap, bp, cp, ip, p.Segs, p.Depth, p.IRep, p.IRow)
		return
	}
	irep, irow := p.IRep, p.IRow
	deep := p.deep(path)
	for s := range p.Segs {
		for k := 0; k < p.Depth; k += deep {
			p.pass(path, shift(ap, s*p.ASeg+k*p.ADepth), shift(bp, s*p.BSeg+k*p.BDepth), cp, ip, 1, min(deep, p.Depth-k), irep, irow)
			ip, irep, irow = cp, p.CRep, p.CRow
		}
	}
}

// deep splits the depth so that a panel of B stays in cache.
func (p *Product) deep(path *Path) int {
	widest := min(path.widest*path.lanes, p.Cols)
	most := max(64, maxPanel/4/widest)
	parts := (p.Depth + most - 1) / most
	return (p.Depth + parts - 1) / parts
}

func shift(p *float32, n int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n)) }

func (p *Product) pass(path *Path, a, b, c, init *float32, segs, depth, irep, irow int) {
	adepth, bdepth := 4*p.ADepth, 4*p.BDepth
	aseg, bseg := 4*p.ASeg-depth*adepth, 4*p.BSeg-depth*bdepth
	p.args = [13]int64{
		int64(4 * p.ARow), int64(adepth), int64(aseg), int64(4*p.ARep - segs*4*p.ASeg),
		int64(bdepth), int64(bseg),
		int64(4 * p.CRow), int64(4 * p.CRep), int64(4 * irow), int64(4 * irep),
		int64(segs), int64(depth), maskTable,
	}
	vectors := (p.Cols + path.lanes - 1) / path.lanes
	panels := (vectors + path.widest - 1) / path.widest
	for j, left := 0, panels; left > 0; left-- {
		nv := (vectors + left - 1) / left
		vectors -= nv
		cols := min(nv*path.lanes, p.Cols-j)
		tail := cols - (nv-1)*path.lanes
		table := &path.masked[nv]
		if tail == path.lanes {
			table = &path.full[nv]
		}
		top := path.rows[nv]
		blocks := (p.Rows + top - 1) / top
		for i, rest := 0, blocks; rest > 0; rest-- {
			mr := (p.Rows - i + rest - 1) / rest
			f := table[mr]
			reps := max(1, maxWork/(mr*cols*segs*depth))
			for r := 0; r < p.Reps; r += reps {
				ini := init
				if ini != nil {
					ini = shift(ini, r*irep+i*irow+j)
				}
				f(shift(a, r*p.ARep+i*p.ARow), shift(b, j), shift(c, r*p.CRep+i*p.CRow+j), ini, &p.args[0], uintptr(min(reps, p.Reps-r)), uintptr(tail))
			}
			i += mr
		}
		j += cols
	}
}
