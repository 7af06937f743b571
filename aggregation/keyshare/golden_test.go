package keyshare

// Expansions of the seed 00 01 .. 1f, computed with Python's hashlib.shake_256 from
// the description of Expand: the default ring, and one of two primes whose words have
// one and five bytes and are often rejected.
var goldenExpand = []struct {
	ring   Ring
	first  []uint64
	sha256 string // of all residues as big-endian 64-bit words
}{
	{testRing, []uint64{2415193535092484, 367556521210704, 4462273651390559, 616117675703952}, "deafe449401a345235c8fd94019cb29dd01521406a88fecefc3a7fd343854f03"},
	{Ring{N: 512, Primes: []uint64{97, 1099511627689}}, []uint64{4, 23, 57, 16}, "cabe7e606ccaf52a595c5edc3357e15b6b336b336814ec2e997c6ef6300c3e91"},
}
