// Package aggregation turns clipped float updates into bounded integers and adds
// them up exactly.
//
// A [Codec] rounds each coordinate to a signed integer of a fixed width, at
// random and without bias. From there on everything is an integer: a [Sum] does
// not depend on the order of arrival, on the number of workers or on the
// transport. Private metrics travel in the same vector as counters cut into
// limbs (AppendCounter, EncodeMetrics), so that one sum opens both.
//
// It is not encryption (package kahe) and not differential privacy (package
// privacy/privatise): a rounded update in the clear reveals the update.
//
// # Overflow
//
// A value of b bits is at most 2^(b-1)-1 in magnitude, so n of them add up to at
// most n*(2^(b-1)-1), which [Codec.SumBits] turns into a width. A Sum holds
// int64: with b <= 24 and n <= 2^31 the magnitude stays under 2^54. Even n = 2^31
// arbitrary int32 values stay at or under 2^62, and Add refuses the addition
// after that, so a Sum never wraps, whatever is added.
package aggregation
