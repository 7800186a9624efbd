package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync waits until the file's data, and the size needed to read it, are on
// the disk.
func datasync(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); err != unix.EINTR {
			return err
		}
	}
}
