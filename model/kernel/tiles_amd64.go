package kernel

// The tiles by width in vectors and height in rows.
var tiles512 = [5][15]tile{
	1: {1: tile1x1w512, tile2x1w512, tile3x1w512, tile4x1w512, tile5x1w512, tile6x1w512, tile7x1w512, tile8x1w512, tile9x1w512, tile10x1w512, tile11x1w512, tile12x1w512, tile13x1w512, tile14x1w512},
	2: {1: tile1x2w512, tile2x2w512, tile3x2w512, tile4x2w512, tile5x2w512, tile6x2w512, tile7x2w512, tile8x2w512, tile9x2w512, tile10x2w512, tile11x2w512, tile12x2w512},
	3: {1: tile1x3w512, tile2x3w512, tile3x3w512, tile4x3w512, tile5x3w512, tile6x3w512, tile7x3w512, tile8x3w512},
	4: {1: tile1x4w512, tile2x4w512, tile3x4w512, tile4x4w512, tile5x4w512, tile6x4w512},
}

var tiles256row = tileSet{
	full: [5][15]tile{
		1: {1: tile1x1rowFull256, tile2x1rowFull256, tile3x1rowFull256, tile4x1rowFull256, tile5x1rowFull256, tile6x1rowFull256, tile7x1rowFull256, tile8x1rowFull256, tile9x1rowFull256, tile10x1rowFull256},
		2: {1: tile1x2rowFull256, tile2x2rowFull256, tile3x2rowFull256, tile4x2rowFull256, tile5x2rowFull256, tile6x2rowFull256},
	},
	masked: [5][15]tile{
		1: {1: tile1x1row256, tile2x1row256, tile3x1row256, tile4x1row256, tile5x1row256, tile6x1row256, tile7x1row256, tile8x1row256, tile9x1row256, tile10x1row256},
		2: {1: tile1x2row256, tile2x2row256, tile3x2row256, tile4x2row256, tile5x2row256, tile6x2row256},
	},
}

// tiles256ahead are 16 columns wide.
var tiles256ahead = [15]tile{1: tile1x2rowAheadFull256, tile2x2rowAheadFull256, tile3x2rowAheadFull256, tile4x2rowAheadFull256, tile5x2rowAheadFull256, tile6x2rowAheadFull256}

var tiles256depth = tileSet{
	full: [5][15]tile{
		1: {1: tile1x1depthFull256, tile2x1depthFull256, tile3x1depthFull256, tile4x1depthFull256, tile5x1depthFull256, tile6x1depthFull256, tile7x1depthFull256, tile8x1depthFull256, tile9x1depthFull256, tile10x1depthFull256},
		2: {1: tile1x2depthFull256, tile2x2depthFull256, tile3x2depthFull256, tile4x2depthFull256, tile5x2depthFull256, tile6x2depthFull256},
	},
	masked: [5][15]tile{
		1: {1: tile1x1depth256, tile2x1depth256, tile3x1depth256, tile4x1depth256, tile5x1depth256, tile6x1depth256, tile7x1depth256, tile8x1depth256, tile9x1depth256, tile10x1depth256},
		2: {1: tile1x2depth256, tile2x2depth256, tile3x2depth256, tile4x2depth256, tile5x2depth256, tile6x2depth256},
	},
}
