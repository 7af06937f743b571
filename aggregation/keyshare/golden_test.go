package keyshare

// Of the seed 00 01 .. 1f in the default ring, computed with Python's
// hashlib.shake_128 from the description of Expand.
var (
	goldenExpandFirst  = []uint64{2975925319860875, 2109248226619537, 2995745447479279, 2892585829124546}
	goldenExpandSHA256 = "1f6728f964fd9141f76f22d2c8ec3a8802eb897472a31961be6fd973e3dec03c"
)
