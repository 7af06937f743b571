package keyholder

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// roundFiles keeps one small secret file a round in a directory of its own.
type roundFiles struct{ dir string }

func newRoundFiles(dir string) (roundFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return roundFiles{}, fmt.Errorf("make %s: %w", dir, err)
	}
	return roundFiles{dir}, nil
}

// path encodes the run's name, which comes from a server, so that it cannot leave
// the directory.
func (f roundFiles) path(run string, round uint64) string {
	return filepath.Join(f.dir, hex.EncodeToString([]byte(run))+"-"+strconv.FormatUint(round, 10))
}

// put writes b durably. A crash leaves the old content, the new, or none.
func (f roundFiles) put(run string, round uint64, b []byte) error {
	path := f.path(run, round)
	t, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	if err == nil {
		err = t.Sync()
	}
	if e := t.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// sync makes names durable; put and erase alone do not.
func (f roundFiles) sync() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// get returns fs.ErrNotExist if there is no such file.
func (f roundFiles) get(run string, round uint64) ([]byte, error) {
	return os.ReadFile(f.path(run, round))
}

// eraseThrough overwrites and removes the files of a run's rounds up to round.
func (f roundFiles) eraseThrough(run string, round uint64) error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	prefix := hex.EncodeToString([]byte(run)) + "-"
	var problems []error
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, ".new"), 10, 64)
		if err != nil || n > round {
			continue
		}
		if err := erase(filepath.Join(f.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return f.sync()
}

func erase(path string) error {
	t, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := t.Stat()
	if err == nil {
		_, err = t.Write(make([]byte, info.Size()))
	}
	if err == nil {
		err = t.Sync()
	}
	if e := t.Close(); err == nil {
		err = e
	}
	if e := os.Remove(path); err == nil {
		err = e
	}
	return err
}
