//go:build !linux

package kernel

import (
	"math/rand/v2"
	"testing"
)

func guarded(_ testing.TB, r *rand.Rand, n int) []float32 { return random(r, n) }
