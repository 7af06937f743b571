package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/server/coordinator"
)

// Read returns the newest committed state in dir without taking the directory,
// so that it works while a server holds it. Errors are those of Latest.
func Read(ctx context.Context, dir string) (*coordinator.State, error) {
	path := filepath.Join(dir, runFile)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, coordinator.ErrNoState
	case err != nil:
		return nil, fmt.Errorf("read store: %w", err)
	}
	db, err := OpenSQLite(ctx, path, migrations)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return (&Store{dir: dir, db: db}).Latest(ctx)
}
