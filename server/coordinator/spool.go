package coordinator

import (
	"fmt"
	"io"
	"os"
)

// FileSpool is a Spool in one unnamed temporary file: it is gone with the process.
// Only one goroutine uses it at a time.
type FileSpool struct {
	file *os.File
	at   map[string]span
	end  int64
}

type span struct{ from, size int64 }

// NewFileSpool makes a spool in dir; empty is the system's folder for such files.
func NewFileSpool(dir string) (*FileSpool, error) {
	f, err := os.CreateTemp(dir, "sotto-spool-*")
	if err != nil {
		return nil, err
	}
	// Without its name the file cannot be left behind.
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return &FileSpool{file: f, at: map[string]span{}}, nil
}

// Put keeps a client's vector, in place of an earlier one.
func (s *FileSpool) Put(client string, vector []byte) error {
	if _, err := s.file.WriteAt(vector, s.end); err != nil {
		return err
	}
	s.at[client] = span{s.end, int64(len(vector))}
	s.end += int64(len(vector))
	return nil
}

// Get returns a client's vector.
func (s *FileSpool) Get(client string) ([]byte, error) {
	w, ok := s.at[client]
	if !ok {
		return nil, fmt.Errorf("nothing of client %s", client)
	}
	b := make([]byte, w.size)
	_, err := io.ReadFull(io.NewSectionReader(s.file, w.from, w.size), b)
	return b, err
}

// Close frees the space.
func (s *FileSpool) Close() error { return s.file.Close() }
