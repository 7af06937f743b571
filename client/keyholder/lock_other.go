//go:build !unix

package keyholder

import (
	"errors"
	"os"
)

// lock: without one, two processes could sign two sets.
func lock(string) (*os.File, error) {
	return nil, errors.New("key holders need file locks, which are implemented for unix systems only")
}
