// Package kahe encrypts long vectors of bounded integers so that ciphertexts and
// keys add up: the sum of the keys opens the sum of the ciphertexts, and nothing
// smaller.
//
// An upload is c_j = a_j*s + e_j + 2^k*M_j in R_q = Z_q[X]/(X^N+1), for j = 0, 1, ...
// M_j holds the values, several in a coefficient ([pack.Fields]); a_j are public
// and uniform ([Public]); s is the upload's own short key ([NewSecret]); s and e_j
// are discrete Gaussians of sigma 6.5. The r lowest bits of every coefficient may
// be rounded off publicly. The receiver of uploads adds them as integers ([Sum]);
// with the sum of the keys it opens them ([Sum.Open]) and checks the noise.
//
// Security is that of RLWE with Gaussian secrets, with the sums of keys and of
// errors leaked (hint-RLWE, Kim, Lee, Seo and Song, eprint 2023/623); sizes
// are limited per ring degree by published tables (testdata/security.json), and
// only primes of this package are accepted. It holds for one vector under one
// secret: a second vector under the same secret reveals the difference of the two.
//
// It is not authenticated, proves nothing about the values of an upload, and knows
// neither clients nor key holders: sharing a secret is package keyshare's, and the
// sum opens for whoever has the sum of keys. docs/protocol.md, "Encryption", has
// the numbered rules.
//
// The code that touches secrets takes the same time and reads the same addresses
// whatever they are: sampler, transform, packing and rounding neither branch on
// them nor index by them.
package kahe

import "errors"

var (
	// ErrParams reports parameters outside the tables of this package.
	ErrParams = errors.New("parameters not allowed")
	// ErrKey reports a key of the wrong shape or with a residue that is too large.
	ErrKey = errors.New("malformed key")
	// ErrWrongKey reports a sum that the given key does not open: the noise under it
	// is not what the uploads' noise adds up to. Nothing of the sum is returned.
	ErrWrongKey = errors.New("key does not open the sum")
	// ErrOverflow reports a sum whose noise is right but whose fields are not: an
	// upload had values outside its range.
	ErrOverflow = errors.New("field of the sum overflowed")
	// ErrFull reports an upload beyond the number that the parameters allow.
	ErrFull = errors.New("sum is full")
	// ErrMalformed reports a stored sum that no Sum wrote.
	ErrMalformed = errors.New("malformed sum")
)
