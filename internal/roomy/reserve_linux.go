package roomy

import (
	"os"
	"syscall"
)

const keepSize = 1 // FALLOC_FL_KEEP_SIZE of fallocate(2)

func reserve(f *os.File, off, n int64) error {
	return syscall.Fallocate(int(f.Fd()), keepSize, off, n)
}
