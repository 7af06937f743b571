package books

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Files of an account's folder.
const (
	FolderName = ".sotto" // inside the folder of the images
	LedgerFile = "ledger"
	PublicFile = "ledger.pub"
	keyFile    = "ledger.key" // signs checkpoints; mode 0600

	// lockTime is how long another client on the same data may hold the ledger: a few records, or a plan being checked.
	lockTime = 2 * time.Minute
)

// Folder is an Account on disk, which several processes may share. Use it from one goroutine.
type Folder struct {
	path  string
	limit Limit
	now   func() time.Time

	file *ledger.File
	data *ledger.Data
	size int64 // of the file when data was last used
}

// OpenFolder opens the account in the folder at path, or makes it there with limit as its budget. Close it when done.
func OpenFolder(path string, limit Limit, now func() time.Time) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("privacy ledger of the data: %w", err)
	}
	f := &Folder{path: path, limit: limit, now: now}
	return f, f.With(func(*ledger.Data) error { return nil })
}

// With implements Account.
func (f *Folder) With(use func(d *ledger.Data) error) (err error) {
	if err := f.acquire(); err != nil {
		return fmt.Errorf("privacy ledger of the data in %s: %w", f.path, err)
	}
	defer func() {
		var e error
		f.size, e = f.file.Release()
		err = errors.Join(err, e)
	}()
	return use(f.data)
}

// acquire locks the ledger, and reads it anew if it is not as this process left it.
func (f *Folder) acquire() error {
	for give := time.Now().Add(lockTime); ; time.Sleep(20 * time.Millisecond) {
		err := f.try()
		if !errors.Is(err, ledger.ErrInUse) || time.Now().After(give) {
			return err
		}
	}
}

func (f *Folder) try() error {
	if f.file != nil {
		size, err := f.file.Acquire()
		if err != nil || size == f.size {
			return err
		}
		f.Close() // which unlocks
	}
	file, err := ledger.OpenFile(filepath.Join(f.path, LedgerFile))
	if err != nil {
		return err
	}
	d, err := f.open(file)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.data = file, d
	return nil
}

func (f *Folder) open(file *ledger.File) (*ledger.Data, error) {
	private, public, err := ledger.OpenKey(filepath.Join(f.path, keyFile), "data-holder", rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := writeOnce(filepath.Join(f.path, PublicFile), public); err != nil {
		return nil, err
	}
	b, err := file.Read()
	if err != nil {
		return nil, err
	}
	if len(b) > 0 {
		return ledger.OpenData(file, private, public)
	}
	id := make([]byte, 16)
	rand.Read(id)
	return ledger.CreateData(file, private, f.now(), ledger.DataSet{ID: hex.EncodeToString(id), Epsilon: ledger.Epsilon(f.limit.Epsilon), Delta: f.limit.Delta})
}

// Close gives the files back.
func (f *Folder) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file, f.data = nil, nil
	return err
}

// KeyFile is a Key in a file.
type KeyFile string

// Load implements Key.
func (k KeyFile) Load() (string, error) {
	b, err := os.ReadFile(string(k))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// Store implements Key.
func (k KeyFile) Store(key string) error { return writeOnce(string(k), key) }

// writeOnce writes a line to a file that is not there yet, whole or not at all.
func writeOnce(path, line string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	t, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = t.WriteString(line + "\n")
	if err := errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
