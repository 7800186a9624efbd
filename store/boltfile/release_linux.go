package boltfile

import "syscall"

// unmap drops the mapped pages from the process, not from the system's cache.
func unmap(address uintptr, size int64) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, address, uintptr(size), syscall.MADV_DONTNEED); errno != 0 {
		return errno
	}
	return nil
}
