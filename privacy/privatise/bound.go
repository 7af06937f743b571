package privatise

import "math"

const (
	// ClipSlack is how far above the clip norm C, relative, the float norm of a clipped gradient may lie: its
	// norm and scaled coordinates are rounded.
	ClipSlack = 1.0 / (1 << 20)
	// ditherSlack is what 32 bits of a dither and the conversion to them cost, relative to
	// one unit a coordinate.
	ditherSlack = 1.0 / (1 << 20)
	// unit is the unit roundoff of float64.
	unit = 1.0 / (1 << 53)
	// unit32 is that of float32.
	unit32 = 1.0 / (1 << 24)
)

// NormBound returns the largest square of the integer L2 norm that rounding an update may
// have, when its clip norm is grid units and it has fields coordinates: the smaller of (grid + sqrt(fields))^2, which always
// holds, and the bound that a try meets with probability at least 1 - exp(-1/2).
// Kairouz, Liu, Steinke 2021, proposition 22 with beta = exp(-1/2).
func NormBound(grid int64, fields int) int64 {
	c, d := float64(grid), float64(fields)
	always := (c + math.Sqrt(d)) * (c + math.Sqrt(d))
	return int64(min(always, float64(c*c)+d/4+c+math.Sqrt(d)/2)) // no fused operations: the same on every platform
}

// SumSensitivity bounds the L2 distance of what Sum makes of two sums of at most records
// gradients each that differ in one gradient of norm at most C (which is grid units), clamped or not. Gradients are
// added in float32 up to micro at a time and in float64 beyond. docs/privacy.md, "Mechanism", derives the terms.
func SumSensitivity(grid int64, fields, records, micro int) float64 {
	c, d, m, b := float64(grid), float64(fields), float64(records), float64(micro)
	if micro <= 1 {
		b = 0 // nothing is added in float32
	}
	return float64(c*(1+ClipSlack)) + float64(math.Sqrt(d)*(1+ditherSlack)) + float64(2*m*(m+16)*unit*c) + float64(4*b*b*unit32*c)
}
