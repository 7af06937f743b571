// Package schedule decides who does how much work at the least energy, and when.
//
// The problem is Pilla's minimal cost schedule (2023,
// doi:10.1109/TPDS.2023.3240833): T equal tasks, clients with costs C_i and bounds,
//
//	min sum_i C_i(x_i)   s.t.   sum_i x_i = T,   Min_i <= x_i <= Max_i.
//
// SolveConvex and SolveSmooth are exact for convex costs, whose optimality the
// marginal price alone certifies: Verify checks it without trusting the solver.
// SolveExact takes arbitrary costs, for which the problem is NP-hard, and returns
// an allocation with a lower bound; when the two meet it is proven optimal.
// MinMakespan minimises the time of the slowest client over the same set. NextPrice
// steers a posted price, PlanStarts and Gate choose cheap times.
//
// The package is pure: no clock, no I/O, no randomness, nothing kept between calls
// but what the caller holds. Large instances are worked on by goroutines that end
// before the call does; results do not depend on their number, because chunks and
// the order of sums are functions of the instance alone. Arguments are only read.
// Functions are safe for concurrent use unless they say otherwise.
//
// Energies are float64 joules. "Exact" means: the minimum over all allocations, up
// to the rounding of the sums (about 1e-15 of the total); where sums are free of
// rounding, as with multiples of a power of two, it is the minimum bit for bit.
package schedule
