// Package noise draws exact integer noise: the discrete Gaussian N_Z(0, sigma^2) of
// Canonne, Kamath, Steinke (arXiv:2004.00010) for any sigma up to 2^26, and the symmetric
// Skellam distribution (the difference of two Poissons) for variances up to 2^26.
//
// It is not an accountant and decides nothing about how much noise is enough
// (package privacy does). It is not a source of entropy either: a [DRBG] expands a
// 32-byte seed, which comes from crypto/rand in a deployment; only simulations
// derive seeds.
//
// # Exactness
//
// No floating point takes part in a draw, nor in the making of a table: variances are
// rational, tables come from 320-bit arithmetic. A comparison of a uniform number
// with a real one reads 63 bits of both (in the rejection step at least 37) and decides when these
// differ; only when they cannot decide, more bits of both are drawn and computed, to 191 bits
// (rejection: 256). A draw is therefore within total variation distance
// 2^[DistanceBound] of the named distribution, for every parameter.
// A million draws a round in a million rounds add less than 2^-130 to a delta. The argument is in
// docs/privacy.md, "Noise".
//
// # Timing
//
// Small widths (Gaussian sigma < 4, Skellam variance <= 16) read a whole cumulative table for every
// draw, without a branch or an address that depends on it. Large Gaussians are made of
// such a draw and a uniform one, accepted or rejected without a branch; how many attempts
// a vector takes is visible and independent of the values accepted. Large Skellams take
// a fixed number of steps through a table, at addresses that depend on the
// value. A branch that depends on a value is taken with probability below 2^-56 a draw (the
// longer comparison of a table), and below 2^-35 for the acceptance, where it
// tells how close the acceptance was and nothing about the value itself.
package noise
