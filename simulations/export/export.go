// Package export writes a data set back to image files, so that a walkthrough
// on one machine can give each client a folder of its own, as real data
// holders have.
package export

import (
	"bufio"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sotto-fl/sotto/model/dataset"
)

// ErrNotEmpty marks a target folder that already holds something.
var ErrNotEmpty = errors.New("folder is not empty")

// WriteFolder writes every image of s as PNG to dir/CLASS/NNNNN.png, or
// dir/CLASS/GROUP/NNNNN.png if s has groups, where NNNNN is its position in s.
// dataset.OpenFolder reads the same pixels, labels and groups back (the groups
// under other numbers), in the order of class, then position. All classes get
// a folder, even empty ones. Images have 1 or 3 channels.
//
// It makes dir if need be and refuses one that is not empty. On an error it
// leaves behind what it has written.
func WriteFolder(dir string, s *dataset.Set) error {
	if c, h, w := s.Shape(); c != 1 && c != 3 {
		return fmt.Errorf("write images to %s: %w: %dx%dx%d, PNG has 1 or 3 channels", dir, dataset.ErrShape, c, h, w)
	}
	for _, c := range s.Classes() {
		if !filepath.IsLocal(c) || strings.ContainsAny(c, `/\`) || strings.HasPrefix(c, ".") {
			return fmt.Errorf("write images to %s: class name %q cannot name a folder", dir, c)
		}
	}
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("write images: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("write images to %s: %w: give a new folder", dir, ErrNotEmpty)
	}
	for _, c := range s.Classes() {
		if err := os.MkdirAll(filepath.Join(dir, c), 0o755); err != nil {
			return fmt.Errorf("write images: %w", err)
		}
	}
	made := map[string]bool{}
	paths := make([]string, s.Len())
	for i := range paths {
		in := filepath.Join(dir, s.Classes()[s.Label(i)])
		if s.HasGroups() {
			in = filepath.Join(in, fmt.Sprintf("%05d", s.Group(i)))
			if !made[in] {
				if err := os.MkdirAll(in, 0o755); err != nil {
					return fmt.Errorf("write images: %w", err)
				}
				made[in] = true
			}
		}
		paths[i] = filepath.Join(in, fmt.Sprintf("%05d.png", i))
	}
	return writeAll(paths, s)
}

// writeAll writes image i to paths[i], on all processors, until one fails.
func writeAll(paths []string, s *dataset.Set) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for worker := range errs {
		wait.Go(func() {
			e := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: new(pool)}
			for i := int(next.Add(1)) - 1; i < len(paths); i = int(next.Add(1)) - 1 {
				if err := writeImage(paths[i], &e, s, i); err != nil {
					errs[worker] = fmt.Errorf("write images: %w", err)
					next.Store(int64(len(paths)))
					return
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // one line is enough: a full disk fails every worker
		}
	}
	return nil
}

func writeImage(path string, e *png.Encoder, s *dataset.Set, i int) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	b := bufio.NewWriter(f)
	if err := e.Encode(b, s.Image(i)); err != nil {
		return err
	}
	return b.Flush()
}

// pool keeps one worker's encoder state, which is larger than a small image.
type pool struct{ b *png.EncoderBuffer }

func (p *pool) Get() *png.EncoderBuffer  { return p.b }
func (p *pool) Put(b *png.EncoderBuffer) { p.b = b }
