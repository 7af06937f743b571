package kernel

// ops are the kernels of a path besides the tiles; internal/gen documents them.
type ops struct {
	sums            [4][13]sums // by rows and vectors; the last vector masked
	sumsFull        [4][13]sums
	sumsOne         [4][13]sums // the last vector has one element; may be nil
	compress        func(dy *float32, rows, n, step uintptr, tab *int32, tabStep uintptr, offset *int32, weight *float32, counts *int32, perm *[256][8]uint32, masks int64)
	compressTaps    func(dy *float32, arg *uint8, rows, n, step, argStep, taps uintptr, tab, offset *int32, weight *float32, counts *int32, perm *[256][8]uint32, masks int64)
	live            func(dy, y *float32, arg *uint8, pixels, n uintptr, place, taps *int32, keep *float32, offset *int32, relu uintptr, masks int64)
	maxPool         func(x *float32, taps *int64, count uintptr, y *float32, arg *uint8, channels, pixels, step, relu uintptr, masks int64)
	maxPool4        func(x *float32, taps *int64, y *float32, arg *uint8, channels, pixels, step, relu uintptr, masks int64)
	winogradIn      func(x, d *float32, tiles, channels, row, tile uintptr, masks int64) // may be nil, as the next three
	winogradWeights func(w, d *float32, rows, cols, row, tap, factor uintptr, masks int64)
	winogradProduct [7]func(a, b, c *float32, blocks, count, depth, tile uintptr) // by tiles of a block
	winogradPool    func(m, bias, y *float32, arg *uint8, channels, tiles, out, yRow, yGap, argRow, argGap, relu uintptr, masks int64)
	convPool        [16]func(x, b, bias, y *float32, arg *uint8, s *int64, pixels, relu uintptr) // by inputs of a run
	maxPoolBack     func(dy *float32, arg *uint8, taps *int64, count uintptr, dx *float32, channels, pixels, step uintptr, masks int64)
	relu, tanh      func(y *float32, n uintptr, masks int64)
	reluBack        func(dy, y *float32, n uintptr, masks int64)
	tanhBack        func(dy, y *float32, n uintptr, masks int64)
	axpy            func(y, x *float32, n uintptr, c float32, masks int64)
	axpyClear       func(y, x *float32, n uintptr, c float32) // n a multiple of 16; may be nil
	scale           func(y *float32, n uintptr, c float32, masks int64)
	axpy64          func(y *float64, x *float32, n uintptr, c float64)
	squares         func(x *float32, n uintptr) float64
	adam            func(w, dw, m, u *float32, n uintptr, s *[6]float32, masks int64)
	momentum        func(w, dw, m *float32, n uintptr, s *[2]float32, masks int64)
	pooledOps
}

type sums func(counts, place, offset *int32, weight, src, dst *float32, groups, srcRow, dstRow, tail uintptr, masks int64)

// pooledOps are those of convolutions under a 2x2 pool; nil where lists serve all.
type pooledOps struct {
	sumBits     [4][13]sumBits // as sums
	sumBitsFull [4][13]sumBits
	bits        func(dy *float32, arg *uint8, pixels, n uintptr, sets *uint64, order *[8]uint32, masks int64)
	prefetch    func(p, count uintptr)
	quads       func(a, b, dst *float32, rows, n, right, row, dstRow uintptr, masks int64)
	selected    [mostSelected + 1]selected // by quads
}

type sumBits func(groups *int32, count uintptr, sets *uint64, weight, src, dst *float32, step, srcRow, dstRow, ahead, tail uintptr, masks int64)

type selected func(quads *float32, selector *int32, weight, dst *float32, rows, pixels, step, pixel, row, dstRow uintptr)
