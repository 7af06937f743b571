package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Count says how many training images Open would find at path, before any model
// says what shape they must have. Of image folders it reads the headers only: an
// image that turns out corrupt further in is counted, and skipped later.
func Count(path string) (int, error) {
	entries, err := list(path)
	if err != nil {
		return 0, fmt.Errorf("open data: %w", err)
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.name] = e.dir
	}
	cifar, err := listMatching(path, "*_batch*.bin")
	if err != nil {
		return 0, fmt.Errorf("open data: %w", err)
	}
	if hasIDX(names) || len(cifar) > 0 {
		s, _, err := Open(path, Options{})
		if err != nil {
			return 0, err
		}
		return s.Len(), nil
	}
	if names["train"] {
		path = filepath.Join(path, "train")
	}
	t, err := scan(path, nil)
	if err != nil {
		return 0, err
	}
	kept, _, problems := probeAll(t.files)
	if len(kept) == 0 {
		if len(problems) > 0 {
			return 0, fmt.Errorf("open image folder %s: %w: none of %d files can be used, the first is %v", path, ErrEmpty, len(problems), problems[0])
		}
		return 0, fmt.Errorf("open image folder %s: %w: want PNG or JPEG files in one sub-folder a class", path, ErrEmpty)
	}
	return len(kept), nil
}

// Classes lists the class names that Open would find at path by itself.
func Classes(path string) ([]string, error) {
	for _, p := range []string{filepath.Join(path, "train"), path} {
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			continue
		}
		t, err := scan(p, nil)
		if err != nil && !errors.Is(err, ErrEmpty) {
			return nil, err
		}
		if err == nil {
			return t.classes, nil
		}
	}
	return nil, fmt.Errorf("open data %s: %w: no sub-folders, one a class", path, ErrEmpty)
}
