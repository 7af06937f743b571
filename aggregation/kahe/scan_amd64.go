package kahe

import "golang.org/x/sys/cpu"

var vectorScan = cpu.X86.HasAVX2

// scanVector is scan with AVX2, 32 samples at once. limits has, for each threshold, the
// largest outcome that does not reach it.
//
//go:noescape
func scanVector(out *[block / 2]uint64, bytes *byte, limits *[thresholds]int32)
