package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is storage in one append-only file that everyone may read (mode 0644). One process may have it open to write.
type File struct {
	f      *os.File
	broken error
}

// OpenFile opens or creates the file at path. A record that a crash cut off, and which therefore was never
// acknowledged, is removed; whatever else does not fit is a Difference, and the file is left alone.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	s := &File{f: f}
	if err := s.start(path); err != nil {
		f.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	return s, nil
}

func (s *File) start(path string) error {
	if err := lock(s.f); err != nil {
		return err
	}
	b, err := io.ReadAll(s.f)
	if err != nil {
		return err
	}
	_, whole, torn, err := scan(b)
	if err != nil {
		return err
	}
	if whole == len(fileStart) { // a first record that never was
		whole, torn = 0, true
	}
	if torn {
		if err := s.f.Truncate(int64(whole)); err != nil {
			return err
		}
		if err := s.f.Sync(); err != nil {
			return err
		}
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read implements Storage.
func (s *File) Read() ([]byte, error) {
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(s.f)
}

// ReadAt implements io.ReaderAt, for proofs.
func (s *File) ReadAt(b []byte, offset int64) (int, error) { return s.f.ReadAt(b, offset) }

// Append implements Storage.
func (s *File) Append(b []byte) error {
	if s.broken != nil {
		return s.broken
	}
	if _, err := s.f.Seek(0, io.SeekEnd); err != nil {
		return s.fail(err)
	}
	if _, err := s.f.Write(b); err != nil {
		return s.fail(err)
	}
	// After a failed sync nobody knows what is on disk, and a second one may succeed although the data is lost.
	return s.fail(s.f.Sync())
}

func (s *File) fail(err error) error {
	s.broken = err
	return err
}

// Release lets other processes write the ledger until Acquire, and returns its size in bytes.
func (s *File) Release() (size int64, err error) {
	info, err := s.f.Stat()
	if err != nil {
		return 0, errors.Join(err, unlock(s.f))
	}
	return info.Size(), unlock(s.f)
}

// Acquire takes the ledger back, or returns ErrInUse. If its size is not what Release returned, another process has
// written, and the caller opens the ledger anew.
func (s *File) Acquire() (size int64, err error) {
	if err := lock(s.f); err != nil {
		return 0, err
	}
	info, err := s.f.Stat()
	if err != nil {
		return 0, errors.Join(err, unlock(s.f))
	}
	return info.Size(), nil
}

// Close releases the file.
func (s *File) Close() error { return s.f.Close() }
