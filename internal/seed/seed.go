// Package seed derives independent random streams from one root.
//
// Every use of repeatable randomness names what it is for: a stream is a
// function of (root, purpose, round, client) and of nothing else. Results
// therefore do not depend on which goroutine, worker or process asked first,
// and adding a new purpose never shifts the numbers of another.
//
// These streams are for training, cohort sampling and simulation. Keys and
// production noise never come from here: they come from crypto/rand.
package seed

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// New returns the stream for (root, purpose, round, client). Equal arguments
// give equal streams; any difference gives an unrelated one, because the
// ChaCha8 key is the SHA-256 of an injective (length-prefixed) encoding. The
// result is not safe for concurrent use.
func New(root uint64, purpose string, round int, client string) *rand.Rand {
	b := make([]byte, 0, 64+len(purpose)+len(client))
	b = append(b, "sotto/seed/v1\x00"...)
	b = binary.BigEndian.AppendUint64(b, root)
	b = binary.BigEndian.AppendUint64(b, uint64(len(purpose)))
	b = append(b, purpose...)
	b = binary.BigEndian.AppendUint64(b, uint64(int64(round)))
	b = binary.BigEndian.AppendUint64(b, uint64(len(client)))
	b = append(b, client...)
	return rand.New(rand.NewChaCha8(sha256.Sum256(b)))
}
