// Package csvlog keeps a log as a CSV file for its owner only.
package csvlog

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
)

// Append adds rows to the file at path, in one write, so that a crash cuts the last
// lines at most. A file that is new or empty gets mode 0600 and the header first.
// Callers of one path take turns.
func Append(path string, header []string, rows [][]string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		if info.Size() == 0 {
			rows = append([][]string{header}, rows...)
		}
		var b bytes.Buffer
		if err = csv.NewWriter(&b).WriteAll(rows); err == nil {
			_, err = f.Write(b.Bytes())
		}
	}
	return errors.Join(err, f.Close())
}
