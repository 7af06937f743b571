package energy

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
)

// most bytes of a file of /sys that are looked at; such files hold a line.
const longestLine = 4096

func text(sys fs.FS, path string) (string, error) {
	f, err := sys.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, longestLine)
	n, err := f.Read(b)
	if n == 0 && err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(bytes.Trim(b[:n], " \t\n\x00")), nil
}

func number(sys fs.FS, path string) (int64, error) {
	t, err := text(sys, path)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s holds %.20q, want a whole number", ErrSource, path, t)
	}
	return v, nil
}

// glob is fs.Glob without its error, which only a malformed pattern causes.
func glob(sys fs.FS, pattern string) []string {
	found, _ := fs.Glob(sys, pattern)
	return found
}
