package boltfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate makes the first bytes of a file have room on the disk, and leaves its content and size alone.
func allocate(f *os.File, bytes int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes)
}
