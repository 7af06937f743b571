// Package privatise turns an update, or an owner's sum of clipped gradients, into the bounded
// and noisy integers that are encrypted, and the opened sum of all owners back into numbers.
//
// The way there is clip, rotate, scale, round, clamp, add a noise share; the way back is
// the inverse rotation and a division by a public constant. Three forms of rounding:
//
//   - [Encoder.Update] (unit client): conditional stochastic rounding; a rounding whose integer L2 norm is
//     above the bound is thrown away and repeated. Kairouz, Liu, Steinke 2021 (arXiv:2102.06387), section 4.
//   - [Encoder.Sum] (units example and group): an owner's float64 sum of clipped gradients is rounded once, with a
//     dither that does not depend on data, so that two sums at distance C end at most
//     C/gamma + sqrt(fields) apart.
//   - [Encoder.Record] (the same units, coarse grids): every record is rounded as an
//     update is, and integers are summed.
//
// What the bounds protect: the sensitivity that a contract charges holds for every input, by
// integer arithmetic after the rounding and by the stated floating-point slack before it.
// A vector that is not finite contributes zero, rather than an error that somebody could
// see. The package knows no contract, no round and no cipher; it reads no clock, no file and no
// entropy. It allocates nothing after construction.
package privatise
