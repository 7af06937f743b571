// Package pack lays signed integers out in polynomial coefficients and
// coefficients in bytes.
//
// A coefficient is one integer, kept in Limbs words of 64 bits, least significant
// first, two's complement where it is signed. [Fields] puts several signed values
// into one coefficient, so that adding coefficients adds the values; [Coder] is
// the strict wire form of the coefficients: exactly as many bits as the largest
// one needs, one encoding for every vector; [SumWidth] is the width that a field
// needs so that a sum cannot leave it.
//
// It is not encryption (package kahe) and knows no modulus: a sum of coefficients
// is a plain integer sum, reduced by whoever opens it.
//
// Nothing here branches on a value or indexes by one: packing happens on secrets.
package pack

import "errors"

var (
	// ErrLength reports bytes or a vector of the wrong length.
	ErrLength = errors.New("wrong length")
	// ErrMalformed reports bytes that no encoder of this package wrote.
	ErrMalformed = errors.New("malformed coefficients")
	// ErrRange reports a value that does not fit its field.
	ErrRange = errors.New("value out of range")
)

// MaxLimbs is the widest coefficient, in words of 64 bits.
const MaxLimbs = 4
