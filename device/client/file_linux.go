package client

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// syncData makes the file's bytes durable; its times may lag.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// lockFile locks the file at path, creating it, until unlockFile or the end of the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is used by another process: %w", path, err)
	}
	return f, nil
}

// unlockFile unlocks and closes a locked file. Closing alone would not do: between fork and exec, a child process that is just
// being started has the file open as well, and the lock lasts as long.
func unlockFile(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
