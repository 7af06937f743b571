package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/model"
)

// WriteFile writes m to path, readable by all (a global model is no secret:
// every client receives it). The file appears complete or not at all: it is
// written beside its destination, synced, and renamed, and the rename is synced
// too. On an error the previous file, if any, is still there.
func WriteFile(path string, m *model.Model, meta map[string]string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("checkpoint %s: %w", path, err)
		}
	}()
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := Write(f, m, meta); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadFile reads the checkpoint at path as Read does. Its errors name the file.
func ReadFile(path string, layout model.Layout) (*model.Model, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	defer f.Close()
	m, meta, err := Read(f, layout, 8+maxHeader+4*int64(layout.Size()))
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return m, meta, nil
}
