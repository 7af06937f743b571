package kernel

// The tiles by width in vectors and height in rows.
var tiles512 = [5][15]tile{
	1: {1: tile1x1w512, tile2x1w512, tile3x1w512, tile4x1w512, tile5x1w512, tile6x1w512, tile7x1w512, tile8x1w512, tile9x1w512, tile10x1w512, tile11x1w512, tile12x1w512, tile13x1w512, tile14x1w512},
	2: {1: tile1x2w512, tile2x2w512, tile3x2w512, tile4x2w512, tile5x2w512, tile6x2w512, tile7x2w512, tile8x2w512, tile9x2w512, tile10x2w512, tile11x2w512, tile12x2w512},
	3: {1: tile1x3w512, tile2x3w512, tile3x3w512, tile4x3w512, tile5x3w512, tile6x3w512, tile7x3w512, tile8x3w512},
	4: {1: tile1x4w512, tile2x4w512, tile3x4w512, tile4x4w512, tile5x4w512, tile6x4w512},
}

var tiles256w = [5][15]tile{
	1: {1: tile1x1w256, tile2x1w256, tile3x1w256, tile4x1w256, tile5x1w256, tile6x1w256, tile7x1w256, tile8x1w256, tile9x1w256, tile10x1w256},
	2: {1: tile1x2w256, tile2x2w256, tile3x2w256, tile4x2w256, tile5x2w256, tile6x2w256},
}

var tiles256full = [5][15]tile{
	1: {1: tile1x1full256, tile2x1full256, tile3x1full256, tile4x1full256, tile5x1full256, tile6x1full256, tile7x1full256, tile8x1full256, tile9x1full256, tile10x1full256},
	2: {1: tile1x2full256, tile2x2full256, tile3x2full256, tile4x2full256, tile5x2full256, tile6x2full256},
}
