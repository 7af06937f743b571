package kernel

import (
	"fmt"
	"math"
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
	BPanel                        int // 0, or B is in panels; see Panels
	CRep, CRow                    int
	CPanel                        int // 0, or C is in panels so far apart, and so is init
	IRep, IRow                    int // of init; 0 repeats it
	args                          [14]int64
	panels, rows                  []float32 // scratch
}

// Set makes p the product that q is and keeps p's scratch.
func (p *Product) Set(q *Product) {
	panels, rows := p.panels, p.rows
	*p = *q
	p.panels, p.rows = panels, rows
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
	if reps|rows|segs|depth|(p.Cols-1)|p.ARep|p.ARow|p.ASeg|p.ADepth|p.BSeg|p.BDepth|p.CRep|p.CRow|p.CPanel|p.IRep|p.IRow < 0 ||
		p.CPanel > 0 && !path.packs ||
		len(a) <= reps*p.ARep+rows*p.ARow+segs*p.ASeg+depth*p.ADepth ||
		len(b) < p.extentB(path, segs, depth) ||
		len(c) < reps*p.CRep+rows*p.CRow+p.columnsC() ||
		init != nil && len(init) < reps*p.IRep+rows*p.IRow+p.columnsC() {
		panic(fmt.Sprintf("kernel: product %+v on slices of %d, %d, %d and %d", *p, len(a), len(b), len(c), len(init)))
	}
	ap, bp, cp := unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c)
	k := block{a: ap, b: bp, c: cp, rows: p.Rows, segs: p.Segs, depth: p.Depth, adepth: p.ADepth, bseg: p.BSeg, bdepth: p.BDepth, bpanel: p.BPanel, irep: p.IRep, irow: p.IRow}
	if init != nil {
		k.init = unsafe.SliceData(init)
	}
	if path.packs && p.Reps == 1 && p.Segs == 1 {
		p.blocked(path, k)
		return
	}
	if p.Segs*p.Depth <= maxDeep {
		p.pass(path, &k)
		return
	}
	k.segs = 1
	deep := p.deep(path)
	for s := range p.Segs {
		for d := 0; d < p.Depth; d += deep {
			k.a, k.b = shift(ap, s*p.ASeg+d*p.ADepth), shift(bp, s*p.BSeg+d*p.BDepth)
			k.depth = min(deep, p.Depth-d)
			p.pass(path, &k)
			k.init, k.irep, k.irow = cp, p.CRep, p.CRow
		}
	}
}

// extentB is the elements of B.
func (p *Product) extentB(path *Path, segs, depth int) int {
	n := segs*p.BSeg + depth*p.BDepth
	if p.BPanel == 0 {
		return n + p.Cols
	}
	if !path.packs || p.BPanel < 0 {
		return math.MaxInt
	}
	return n + (p.Cols+panelCols-1)/panelCols*p.BPanel - p.BPanel + panelCols
}

// columnsC is the elements from the first to the last column of a row of C.
func (p *Product) columnsC() int {
	if p.CPanel == 0 {
		return p.Cols
	}
	last := (p.Cols - 1) / panelCols
	return last*p.CPanel + p.Cols - last*panelCols
}

// deep splits the depth so that a panel of B stays in cache.
func (p *Product) deep(path *Path) int {
	widest := min(path.widest*path.lanes, p.Cols)
	most := max(64, maxPanel/4/widest)
	parts := (p.Depth + most - 1) / most
	return (p.Depth + parts - 1) / parts
}

func shift(p *float32, n int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n)) }

// block is a part of a product: fewer rows, or a part of the sum.
type block struct {
	a, b, c, init        *float32
	rows, segs, depth    int
	adepth               int
	bseg, bdepth, bpanel int
	irep, irow           int
	next                 *float32 // the B of the next block; nil unless B comes from memory
}

// pass computes a block, panel by panel of B. Blocks of rows of one height are
// one call; in a convolution, each call takes all repetitions.
func (p *Product) pass(path *Path, k *block) {
	set, tallest := &path.byRow, len(path.rows)*16
	if p.ADepth != 1 {
		set = &path.byDepth
		if p.ARow != 1 && path.packs {
			tallest = 1
		}
	}
	adepth, bdepth := 4*k.adepth, 4*k.bdepth
	p.args = [14]int64{
		int64(4 * p.ARow), int64(adepth), int64(4*p.ASeg - k.depth*adepth), 0,
		int64(bdepth), int64(4*k.bseg - k.depth*bdepth),
		int64(4 * p.CRow), 0, int64(4 * k.irow), 0,
		int64(k.segs), int64(k.depth), maskTable,
	}
	vectors := (p.Cols + path.lanes - 1) / path.lanes
	b, c, init := k.b, k.c, k.init
	for j, left := 0, (vectors+path.widest-1)/path.widest; left > 0; left-- {
		nv := (vectors + left - 1) / left
		vectors -= nv
		cols := min(nv*path.lanes, p.Cols-j)
		tail := cols - (nv-1)*path.lanes
		table := &set.masked[nv]
		if tail == path.lanes {
			table = &set.full[nv]
			if k.next != nil && p.ADepth == 1 && nv == 2 {
				table = &path.ahead
				p.args[13] = int64(4 * k.bpanel)
				if left == 1 {
					p.args[13] = distance(b, k.next)
				}
			}
		}
		top := min(path.rows[nv], tallest)
		blocks := (k.rows + top - 1) / top
		for i := 0; i < k.rows; {
			mr := (k.rows - i + blocks - 1) / blocks
			like := 1 // blocks of this height in a row
			reps, arep, crep, irep := p.Reps, p.ARep, p.CRep, k.irep
			if reps == 1 {
				like = blocks
				if mr*blocks > k.rows-i {
					like -= mr*blocks - (k.rows - i)
				}
				reps, arep, crep, irep = like, mr*p.ARow, mr*p.CRow, mr*k.irow
			}
			p.args[3] = int64(4*arep - k.segs*4*p.ASeg)
			p.args[7], p.args[9] = int64(4*crep), int64(4*irep)
			most := max(1, maxWork/(mr*cols*k.segs*k.depth))
			for r := 0; r < reps; r += most {
				ini := init
				if ini != nil {
					ini = shift(ini, r*irep+i*k.irow)
				}
				table[mr](shift(k.a, r*arep+i*p.ARow), b, shift(c, r*crep+i*p.CRow), ini, &p.args[0], uintptr(min(most, reps-r)), uintptr(tail))
			}
			i += like * mr
			blocks -= like
		}
		if left == 1 {
			return // rather than point outside of what the slices hold
		}
		j += cols
		b = shift(b, panelStep(k.bpanel, cols))
		c = shift(c, panelStep(p.CPanel, cols))
		if init != nil {
			init = shift(init, panelStep(p.CPanel, cols))
		}
	}
}

// distance is the bytes from one address to another.
func distance(from, to *float32) int64 {
	return int64(uintptr(unsafe.Pointer(to)) - uintptr(unsafe.Pointer(from)))
}

// panelStep is the distance to the next columns.
func panelStep(panel, cols int) int {
	if panel > 0 {
		return panel
	}
	return cols
}
