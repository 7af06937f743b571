package keyshare

// Expansions of the seed 00 01 .. 1f, computed with hashlib and the ChaCha20 of
// Python's cryptography package (OpenSSL's) from the description of Expand: the default ring, and one of two primes whose words have
// one and five bytes and are often rejected.
var goldenExpand = []struct {
	ring   Ring
	first  []uint64
	sha256 string // of all residues as big-endian 64-bit words
}{
	{testRing, []uint64{8434163291273131, 5432307844542063, 1591660951980571, 2367947522801658}, "63d72b2afc066193655b0f80f8c6e6e0f27f06b94c8fe743d295d618c6ae6cd8"},
	{Ring{N: 512, Primes: []uint64{97, 1099511627689}}, []uint64{43, 55, 42, 83}, "001e7b7b055e4865df138156a621d943505214c7b6df032a4d2c5e754d59785c"},
}
