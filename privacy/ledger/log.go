package ledger

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Storage keeps the bytes of one ledger. A Ledger calls its methods one at a time.
type Storage interface {
	// Read returns everything that was appended. The caller owns the slice.
	Read() ([]byte, error)
	// Append makes b durable behind what is there before it returns. After an error nobody knows how much of b is there.
	Append(b []byte) error
}

// tree is a Merkle tree that grows. It keeps two hashes a leaf.
type tree struct {
	size   int64
	hashes []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(t.hashes)) {
			return nil, fmt.Errorf("hash %d of %d", x, len(t.hashes))
		}
		out[i] = t.hashes[x]
	}
	return out, nil
}

func (t *tree) add(leaf []byte) (Head, error) {
	h, err := tlog.StoredHashes(t.size, leaf, t)
	if err != nil {
		return Head{}, err
	}
	t.hashes = append(t.hashes, h...)
	t.size++
	return t.head(t.size)
}

func (t *tree) head(size int64) (Head, error) {
	root, err := tlog.TreeHash(size, t)
	return Head{size, Hash(root)}, err
}

// machine gives records their meaning: State for a run's ledger, DataState for a data holder's.
type machine interface {
	origin() string
	fill(Record)
	check(Record) (Balance, error)
	signed(Record) func() error
	apply(Record, Balance, Hash)
}

// writer appends to a ledger.
type writer struct {
	mu         sync.Mutex
	storage    Storage
	signer     note.Signer
	machine    machine
	tree       tree
	records    [][2]int // offset and length of each record's bytes in the file
	end        int      // of the file
	checkpoint []byte   // the newest
	broken     error
}

// append fills in, checks, signs and stores one record. Whatever is wrong with it is found before anything changes.
func (w *writer) append(now time.Time, r Record) (Head, error) {
	if w.broken != nil {
		return Head{}, fmt.Errorf("the ledger could not be written before, so that its end is unknown: start again: %w", w.broken)
	}
	w.machine.fill(r)
	b, err := w.machine.check(r)
	if err != nil {
		return Head{}, err
	}
	if f := w.machine.signed(r); f != nil {
		if err := f(); err != nil {
			return Head{}, err
		}
	}
	if p := balance(r); p != nil {
		*p = b
	}
	body, err := encode(w.tree.size, now, r)
	if err != nil {
		return Head{}, err
	}
	// What is kept is what an auditor will read, and nothing that the caller can change.
	read, err := decode(body)
	if err != nil {
		return Head{}, err
	}
	grown := tree{w.tree.size, w.tree.hashes}
	head, err := grown.add(body)
	if err != nil {
		return Head{}, fmt.Errorf("grow the ledger's tree: %w", err)
	}
	origin := w.machine.origin()
	if origin == "" {
		origin = originOf(read.Record)
	}
	checkpoint, err := signCheckpoint(w.signer, origin, head)
	if err != nil {
		return Head{}, err
	}
	var out []byte
	if w.end == 0 {
		out = append(out, fileStart...)
	}
	at := w.end + len(out) + headerSize + 1
	out = appendFrame(out, typeRecord, body)
	out = appendFrame(out, typeCheckpoint, checkpoint)
	if err := w.storage.Append(out); err != nil {
		w.broken = err
		return Head{}, fmt.Errorf("append to the ledger: %w", err)
	}
	w.tree, w.checkpoint = grown, checkpoint
	w.records = append(w.records, [2]int{at, len(body)})
	w.end += len(out)
	w.machine.apply(read.Record, b, recordHash(body))
	return head, nil
}

// recordHash is the leaf of a record in the tree.
func recordHash(body []byte) Hash { return Hash(tlog.RecordHash(body)) }
