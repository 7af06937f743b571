package kernel

import (
	"fmt"
	"os"
	"strings"
)

// Path is one way to compute: a vector instruction set, or portable Go. The
// methods and functions that take a SIMD path do not work on the portable one.
type Path struct {
	name   string
	lanes  int // floats of a vector; 0 on the portable path
	widest int // of the tiles, in vectors
	rows   [5]int
	// The tiles for A with contiguous sums, and with contiguous rows. A path
	// whose tiles take any strides has one set.
	byRow, byDepth tileSet
	packs          bool     // B is worth copying into panels
	ahead          [15]tile // byRow for panels of B that come from memory, by height in rows
	peak, slots    func(rounds uintptr)
	narrow         *Path // of half the width, if any
	ops
}

// Name is "avx512", "avx2" or "go".
func (p *Path) Name() string { return p.name }

// SIMD reports whether the path has vector kernels.
func (p *Path) SIMD() bool { return p.lanes > 0 }

// Lanes is the number of floats in a vector, 0 on the portable path.
func (p *Path) Lanes() int { return p.lanes }

// tileSet holds tiles by width in vectors and height in rows: for panels whose
// last vector is full, and for others.
type tileSet struct{ full, masked [5][15]tile }

var portable = &Path{name: "go"}

// available holds the paths that this processor runs, portable last; active is
// the one that new networks use.
var (
	available = append(simdPaths(), portable)
	active    = choose(os.Getenv("SOTTO_KERNEL"))
)

// choose returns the path of that name, or the one with the highest measured
// peak. A name that this processor does not have falls back to the portable path,
// which is never faster than what was asked for.
func choose(name string) *Path {
	if name != "" {
		for _, p := range available {
			if p.name == name {
				return p
			}
		}
		return portable
	}
	best, top := portable, 0.0
	for _, p := range available {
		if p.SIMD() {
			// A wider path must win clearly: its kernels have more edges.
			if v := p.Peak(3); v > 1.1*top {
				best, top = p, v
			}
		}
	}
	return best
}

// Default is the path that new networks use. It is chosen when the process
// starts, by the environment variable SOTTO_KERNEL (avx512, avx2 or go) or else
// by measured speed.
func Default() *Path { return active }

// Name identifies the default path. Results are equal bit for bit on one path
// only, so run summaries record it.
func Name() string { return active.name }

// Available lists the names of the paths that this processor can run.
func Available() []string {
	names := make([]string, len(available))
	for i, p := range available {
		names[i] = p.name
	}
	return names
}

// SetDefault makes the named path the default. It is for tests and benchmarks,
// and must not run while another goroutine builds networks.
func SetDefault(name string) error {
	for _, p := range available {
		if p.name == name {
			active = p
			return nil
		}
	}
	return fmt.Errorf("kernel path %q: this processor has %s", name, strings.Join(Available(), ", "))
}
