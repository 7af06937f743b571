package terms

import (
	"crypto/sha256"
	"hash"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Hashes are those of the parts of a report that its header names.
type Hashes struct {
	Ciphertext statement.Digest
	Boxes      []statement.Digest // by point
}

// Hasher hashes a report's parts while its bytes arrive, in order, in pieces of any
// size: the hashes are there with the last byte. It never fails, and what comes beyond a
// report's end is ignored.
type Hasher struct {
	ends   []int // of the header, the vector and each box
	part   int
	at     int
	state  hash.Hash
	hashes []statement.Digest
}

// Hasher returns one for one report.
func (f Frame) Hasher() *Hasher {
	h := &Hasher{ends: []int{headerField, headerField + f.ciphertext}, state: sha256.New()}
	for _, n := range f.boxes {
		h.ends = append(h.ends, h.ends[len(h.ends)-1]+n)
	}
	return h
}

// Write takes the next bytes. It returns their number and no error.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && h.part < len(h.ends) {
		piece := p[:min(len(p), h.ends[h.part]-h.at)]
		if h.part > 0 {
			h.state.Write(piece)
		}
		p = p[len(piece):]
		if h.at += len(piece); h.at < h.ends[h.part] {
			continue
		}
		if h.part > 0 {
			h.hashes = append(h.hashes, statement.Digest(h.state.Sum(nil)))
			h.state.Reset()
		}
		h.part++
	}
	return n, nil
}

// Hashes returns those of a whole report; ok is false while it is not.
func (h *Hasher) Hashes() (_ Hashes, ok bool) {
	if h.part < len(h.ends) {
		return Hashes{}, false
	}
	return Hashes{Ciphertext: h.hashes[0], Boxes: h.hashes[1:]}, true
}
