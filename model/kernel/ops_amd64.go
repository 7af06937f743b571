package kernel

var ops512 = ops{
	sums: sums512, sumsFull: sums512,
	compress: compress512, compressTaps: compressTaps512, live: live512,
	maxPool: maxPool512, maxPool4: maxPool4w512, maxPoolBack: maxPoolBack512,
	relu: relu512, tanh: tanh512, reluBack: reluBack512, tanhBack: tanhBack512,
	axpy: axpy512, scale: scale512, axpy64: axpy64512, squares: squares512, adam: adam512, momentum: momentum512,
}

var ops256 = ops{
	sums: sums256w, sumsFull: sums256full, sumsOne: sums256one,
	pooledOps: pooledOps{
		sumBits: sumBits256w, sumBitsFull: sumBits256full, bits: bits256, quads: quads256, prefetch: prefetch256,
		selected: [...]selected{1: selected1256, selected2256, selected3256, selected4256, selected5256},
	},
	compress: compress256, live: live256,
	maxPool: maxPool256, maxPool4: maxPool4w256, maxPoolBack: maxPoolBack256,
	convPool:   [16]func(x, b, bias, y *float32, arg *uint8, s *int64, pixels, relu uintptr){3: convPool3x256, 5: convPool5x256, 9: convPool9x256, 15: convPool15x256},
	winogradIn: winogradIn256, winogradWeights: winogradWeights256, winogradPool: winogradPool256,
	winogradProduct: [7]func(a, b, c *float32, blocks, count, depth, tile uintptr){1: winogradProduct1w256, winogradProduct2w256, winogradProduct3w256, winogradProduct4w256, winogradProduct5w256, winogradProduct6w256},
	relu:            relu256, tanh: tanh256, reluBack: reluBack256, tanhBack: tanhBack256,
	axpy: axpy256, axpyClear: axpyClear256, scale: scale256, axpy64: axpy64256, squares: squares256, adam: adam256, momentum: momentum256,
}

func transpose(src, dst *float32, rows, cols, srcRow, dstRow uintptr) {
	transpose256(src, dst, rows, cols, srcRow, dstRow)
}

func panels(src, dst *float32, rows, n, srcRow, panel uintptr) {
	panels256(src, dst, rows, n, srcRow, panel, maskTable)
}

func interleave3(src, dst *float32, eights, plane uintptr) {
	interleave3256(src, dst, eights, plane, &interleaved)
}
