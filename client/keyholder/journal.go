package keyholder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sotto-fl/sotto/internal/statement"
)

var (
	// ErrJournal says that a journal is damaged in a way that no crash explains.
	ErrJournal = errors.New("journal is damaged")
	errBroken  = errors.New("journal could not be written before, so that its end is unknown: restart the key holder")
)

const (
	maxEntry     = 4096
	lengthSize   = 8
	journalStart = "sotto key holder journal, version 1\n"
)

// journal is an append-only file of entries. Each is its length in four bytes and
// the length's complement in four, the entry, and the SHA-256 of the previous sum
// and the entry. Entries cannot be changed, reordered or dropped from the middle
// without being seen to be; and a damaged length is not taken for the end.
type journal struct {
	file   *os.File
	sum    statement.Digest
	broken bool
}

// openJournal opens or creates the journal at path and hands every entry to replay,
// in order.
//
// An entry that the file ends in the middle of, and an end of nothing but zeros, is
// what a crash during append leaves; its promise never left the holder, and it is
// cut off. Anything else that does not fit is ErrJournal: a whole entry with a wrong
// sum may have been a promise.
func openJournal(path string, replay func(entry []byte) error) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{file: f, sum: sha256.Sum256([]byte(journalStart))}
	if err := j.read(path, replay); err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) read(path string, replay func([]byte) error) error {
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("open journal %s: mode %v lets others read it: set it to 0600", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	damaged := func(at int, what string) error {
		return fmt.Errorf("%w: %s, byte %d: %s: if a machine lost power just then, or the file is an old copy, start anew with the ledger's newest round as restored", ErrJournal, path, at, what)
	}
	start := []byte(journalStart)
	if len(b) < len(start) {
		if !bytes.HasPrefix(start, b) {
			return damaged(0, "not a journal")
		}
		if err := j.cut(0); err != nil {
			return err
		}
		return j.write(start)
	}
	if !bytes.HasPrefix(b, start) {
		return damaged(0, "not a journal")
	}
	at := len(start)
	for at < len(b) {
		rest := b[at:]
		if len(bytes.Trim(rest, "\x00")) == 0 {
			break
		}
		if len(rest) < lengthSize {
			break
		}
		n := binary.BigEndian.Uint32(rest)
		if n < 1 || n > maxEntry || ^n != binary.BigEndian.Uint32(rest[4:]) {
			return damaged(at, "length of an entry")
		}
		end := lengthSize + int(n)
		if len(rest) < end+sha256.Size {
			break
		}
		entry := rest[lengthSize:end]
		sum := j.next(entry)
		if sum != statement.Digest(rest[end:end+sha256.Size]) {
			return damaged(at, "entry does not match its sum")
		}
		if err := replay(entry); err != nil {
			return fmt.Errorf("journal %s, byte %d: %w", path, at, err)
		}
		j.sum = sum
		at += end + sha256.Size
	}
	return j.cut(int64(at))
}

func (j *journal) next(entry []byte) statement.Digest {
	h := sha256.New()
	h.Write(j.sum[:])
	h.Write(entry)
	return statement.Digest(h.Sum(nil))
}

// cut drops what is after size and goes there.
func (j *journal) cut(size int64) error {
	if err := j.file.Truncate(size); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	if _, err := j.file.Seek(size, io.SeekStart); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	return nil
}

func (j *journal) write(b []byte) error {
	if _, err := j.file.Write(b); err != nil {
		j.broken = true
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		// After a failed sync nobody knows what is on disk, and a second one may
		// succeed although the data is lost.
		j.broken = true
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// append makes an entry of 1 to maxEntry bytes durable before it returns.
func (j *journal) append(entry []byte) error {
	if j.broken {
		return errBroken
	}
	if len(entry) < 1 || len(entry) > maxEntry {
		return fmt.Errorf("write journal: entry of %d bytes, want 1 to %d", len(entry), maxEntry)
	}
	sum := j.next(entry)
	n := uint32(len(entry))
	b := make([]byte, 0, lengthSize+len(entry)+len(sum))
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, n), ^n)
	b = append(append(b, entry...), sum[:]...)
	if err := j.write(b); err != nil {
		return err
	}
	j.sum = sum
	return nil
}

func (j *journal) close() error { return j.file.Close() }
