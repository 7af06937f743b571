package coordinator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/internal/roomy"
)

// Spools keeps uploads outside memory. At most one attempt is under way at a time.
type Spools interface {
	// Create makes the empty spool of an attempt. What earlier attempts left is freed.
	Create(ticket uint64, attempt int) (Spool, error)
	// Open returns the spool of an attempt that a crash interrupted. The error wraps
	// fs.ErrNotExist if it is gone.
	Open(ticket uint64, attempt int) (Spool, error)
}

// Spool holds the uploads of one attempt, one after the other: the sealed shares, for
// the key holders, and the vectors, for a sum that has to be made again without a
// client. Reads may be concurrent with everything but the end.
type Spool interface {
	io.WriterAt
	io.ReaderAt
	Sync() error   // what was written survives a crash of the machine
	Close() error  // keeps what was written
	Remove() error // closes it and frees the space
}

// Folder is Spools in a folder: one file for an attempt, named after it.
type Folder string

const spoolPattern = "uploads-*.spool"

// Create implements Spools.
func (d Folder) Create(ticket uint64, attempt int) (Spool, error) {
	old, err := filepath.Glob(filepath.Join(string(d), spoolPattern))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return d.open(ticket, attempt, os.O_CREATE|os.O_EXCL)
}

// Open implements Spools.
func (d Folder) Open(ticket uint64, attempt int) (Spool, error) { return d.open(ticket, attempt, 0) }

func (d Folder) open(ticket uint64, attempt, flags int) (Spool, error) {
	f, err := os.OpenFile(filepath.Join(string(d), fmt.Sprintf("uploads-%d-%d.spool", ticket, attempt)), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	return folderSpool{roomy.New(f)}, nil
}

type folderSpool struct{ *roomy.File }

// Sync also makes the file's name durable.
func (s folderSpool) Sync() error {
	if err := s.File.Sync(); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(s.Name()))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s folderSpool) Remove() error { return errors.Join(s.Close(), os.Remove(s.Name())) }

// Temporary is Spools in unnamed files, which are gone with the process: for runs that
// are not continued after a crash.
type Temporary struct{}

// Create implements Spools.
func (Temporary) Create(uint64, int) (Spool, error) {
	f, err := os.CreateTemp("", spoolPattern)
	if err != nil {
		return nil, err
	}
	// Without its name the file cannot be left behind.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return unnamed{roomy.New(f)}, nil
}

// Open implements Spools.
func (Temporary) Open(uint64, int) (Spool, error) { return nil, fs.ErrNotExist }

type unnamed struct{ *roomy.File }

func (unnamed) Sync() error { return nil }

func (s unnamed) Remove() error { return s.Close() }
