package accountant

import "math"

// maxBands bounds the coefficients of a matrix mechanism.
const maxBands = 1 << 14

// MaxParticipations is the most steps out of steps that a unit can take part in when any two are at least separation apart, and at
// most limit; limit 0 is no limit.
func MaxParticipations(steps, separation, limit int64) int64 {
	n := (steps + separation - 1) / separation
	if limit > 0 {
		n = min(n, limit)
	}
	return n
}

// MatrixSensitivity is the L2 sensitivity, in clips, of a banded Toeplitz strategy of so many steps whose first column is coefficients, for
// a unit that takes part at most participations times and at least separation steps apart. It is exact for
// len(coefficients) <= separation: then the columns that a unit touches have no row in common, so that their squared norms add up,
// and the norms fall with the column, whose end the last step cuts off; the largest sum is that of columns 0, separation, 2 separation, ...
// Choquette-Choo and others 2023, arXiv:2306.08153, section 4.
func MatrixSensitivity(coefficients []float64, steps, separation, participations int64) float64 {
	k := MaxParticipations(steps, separation, participations)
	whole, cut := 0.0, 0.0
	for _, c := range coefficients {
		whole += c * c
	}
	// With no more bands than steps between participations, only the last column can be cut.
	for i := range min(int64(len(coefficients)), steps-(k-1)*separation) {
		cut += coefficients[i] * coefficients[i]
	}
	return math.Sqrt(float64(k-1)*whole + cut)
}
