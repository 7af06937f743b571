package kernel

// The kernels of weighted sums by rows and by vectors.
var sums512 = [4][13]sums{
	1: {1: sums1x1w512, sums1x2w512, sums1x3w512, sums1x4w512, sums1x5w512, sums1x6w512, sums1x7w512, sums1x8w512},
	2: {1: sums2x1w512, sums2x2w512, sums2x3w512, sums2x4w512, sums2x5w512, sums2x6w512, sums2x7w512, sums2x8w512},
	3: {1: sums3x1w512, sums3x2w512, sums3x3w512, sums3x4w512, sums3x5w512, sums3x6w512, sums3x7w512, sums3x8w512},
}

var sums256w = [4][13]sums{
	1: {1: sums1x1w256, sums1x2w256, sums1x3w256, sums1x4w256, sums1x5w256, sums1x6w256, sums1x7w256, sums1x8w256, sums1x9w256, sums1x10w256, sums1x11w256, sums1x12w256},
	2: {1: sums2x1w256, sums2x2w256, sums2x3w256, sums2x4w256, sums2x5w256, sums2x6w256},
	3: {1: sums3x1w256, sums3x2w256, sums3x3w256, sums3x4w256},
}

var sums256full = [4][13]sums{
	1: {1: sums1x1full256, sums1x2full256, sums1x3full256, sums1x4full256, sums1x5full256, sums1x6full256, sums1x7full256, sums1x8full256, sums1x9full256, sums1x10full256, sums1x11full256, sums1x12full256},
	2: {1: sums2x1full256, sums2x2full256, sums2x3full256, sums2x4full256, sums2x5full256, sums2x6full256},
	3: {1: sums3x1full256, sums3x2full256, sums3x3full256, sums3x4full256},
}

var sums256one = [4][13]sums{1: {2: sums1x2one256}, 2: {2: sums2x2one256}, 3: {2: sums3x2one256}}

var sumBits256w = [4][13]sumBits{
	1: {1: sumBits1x1w256, 2: sumBits1x2w256, 3: sumBits1x3w256, 4: sumBits1x4w256, 5: sumBits1x5w256, 6: sumBits1x6w256, 7: sumBits1x7w256, 8: sumBits1x8w256, 9: sumBits1x9w256, 10: sumBits1x10w256, 11: sumBits1x11w256, 12: sumBits1x12w256},
	2: {1: sumBits2x1w256, 2: sumBits2x2w256, 3: sumBits2x3w256, 4: sumBits2x4w256, 5: sumBits2x5w256, 6: sumBits2x6w256},
	3: {1: sumBits3x1w256, 2: sumBits3x2w256, 3: sumBits3x3w256, 4: sumBits3x4w256},
}

var sumBits256full = [4][13]sumBits{
	1: {1: sumBits1x1full256, 2: sumBits1x2full256, 3: sumBits1x3full256, 4: sumBits1x4full256, 5: sumBits1x5full256, 6: sumBits1x6full256, 7: sumBits1x7full256, 8: sumBits1x8full256, 9: sumBits1x9full256, 10: sumBits1x10full256, 11: sumBits1x11full256, 12: sumBits1x12full256},
	2: {1: sumBits2x1full256, 2: sumBits2x2full256, 3: sumBits2x3full256, 4: sumBits2x4full256, 5: sumBits2x5full256, 6: sumBits2x6full256},
	3: {1: sumBits3x1full256, 2: sumBits3x2full256, 3: sumBits3x3full256, 4: sumBits3x4full256},
}
