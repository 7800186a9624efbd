//go:build !linux

package journal

import "os"

// datasync waits until the file is on the disk.
func datasync(file *os.File) error { return file.Sync() }
