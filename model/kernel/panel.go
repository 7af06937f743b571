package kernel

import "unsafe"

// A panel holds 16 columns of B, row after row, and panels follow each other. A
// tile reads one panel: in a matrix whose rows are a power of two apart it would
// share an eighth of the sets of an L1 cache with itself.
const panelCols = 16

// PanelCols is the columns of a panel, or 0 if the path has no use for panels.
func (p *Path) PanelCols() int {
	if !p.packs {
		return 0
	}
	return panelCols
}

// Panels copies a matrix of rows by cols, row stride step, into panels of 16
// columns, which it appends to dst[:0]. It returns src itself where the path has
// no use for panels. The second result is Product's BPanel and the third BDepth.
func (p *Path) Panels(dst, src []float32, rows, cols, step int) (b []float32, panel, depth int) {
	if !p.packs || cols <= panelCols {
		return src, 0, step
	}
	_ = src[(rows-1)*step+cols-1]
	n := (cols + panelCols - 1) / panelCols * rows * panelCols
	if cap(dst) < n {
		dst = Alloc(n)
	}
	dst = dst[:n]
	for i, k := 0, portion(rows, cols); i < rows; i += k {
		panels(&src[i*step], &dst[i*panelCols], uintptr(min(k, rows-i)), uintptr(cols), uintptr(4*step), uintptr(4*rows*panelCols))
	}
	return dst, rows * panelCols, panelCols
}

const (
	// blockDepth is the longest sum of one pass over a block: a panel of B and the
	// rows of A of a tile stay in an L1 cache of 32 KB.
	blockDepth = 256
	// streamB is the elements of B that an L2 cache does not hold.
	streamB = 1 << 17
	// blockA is the elements of A that are read again for each panel: they and
	// the panels stay in an L2 cache.
	blockA = 1 << 14
	// minRows is the rows of A that make up for copying B.
	minRows = 8
)

// blocked computes a matrix product by blocks of the sum and of the rows of A.
func (p *Product) blocked(path *Path, k block) {
	a, b, c := k.a, k.b, k.c
	parts := (p.Depth + blockDepth - 1) / blockDepth
	deep := (p.Depth + parts - 1) / parts
	for d := 0; d < p.Depth; d += deep {
		k.depth = min(deep, p.Depth-d)
		k.b = shift(b, d*p.BDepth)
		k.next = nil
		if p.BPanel > 0 && p.Depth*p.Cols >= streamB {
			k.next = shift(b, min(d+deep, p.Depth-1)*p.BDepth)
		}
		if k.bpanel == 0 && p.Cols > panelCols && p.Rows >= minRows {
			k.b, k.bdepth = p.pack(k.b, k.depth), panelCols
			k.bpanel = k.depth * panelCols
		}
		rows, far := p.Rows, false
		if p.Cols > panelCols {
			// Elements of a sum that lie on pages of their own are copied first:
			// there are more of them than a first-level TLB holds.
			far = p.ARow == 1 && p.ADepth >= 512
			most := blockA / k.depth
			if far {
				most /= 2
			}
			// Even parts, of whole tiles.
			parts := (p.Rows + most - 1) / most
			rows = (p.Rows + 6*parts - 1) / (6 * parts) * 6
		}
		for i := 0; i < p.Rows; i += rows {
			k.rows = min(rows, p.Rows-i)
			k.a, k.c, k.adepth = shift(a, i*p.ARow+d*p.ADepth), shift(c, i*p.CRow), p.ADepth
			if far {
				k.a, k.adepth = p.gather(k.a, k.rows, k.depth), k.rows
			}
			in := k.init
			if in != nil {
				k.init = shift(in, i*k.irow)
			}
			p.pass(path, &k)
			k.init = in
		}
		k.init, k.irow = c, p.CRow
		k.bpanel, k.bdepth = p.BPanel, p.BDepth
	}
}

// pack copies rows rows of B into the scratch.
func (p *Product) pack(b *float32, rows int) *float32 {
	n := (p.Cols + panelCols - 1) / panelCols * rows * panelCols
	if cap(p.panels) < n {
		p.panels = Alloc(n)
	}
	dst := unsafe.SliceData(p.panels)
	for i, k := 0, portion(rows, p.Cols); i < rows; i += k {
		panels(shift(b, i*p.BDepth), shift(dst, i*panelCols), uintptr(min(k, rows-i)), uintptr(p.Cols), uintptr(4*p.BDepth), uintptr(4*rows*panelCols))
	}
	return dst
}

// gather copies depth runs of rows elements of A into the scratch.
func (p *Product) gather(a *float32, rows, depth int) *float32 {
	if len(p.rows) < rows*depth {
		p.rows = Alloc(rows * depth)
	}
	for d := range depth {
		copy(p.rows[d*rows:][:rows], unsafe.Slice(shift(a, d*p.ADepth), rows))
	}
	return unsafe.SliceData(p.rows)
}
