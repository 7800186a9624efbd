//go:build !linux

package client

import "os"

// syncData makes the file's bytes durable.
func syncData(f *os.File) error { return f.Sync() }

// lockFile creates the file at path; this system has no lock that ends with the process.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// unlockFile closes the file.
func unlockFile(f *os.File) error { return f.Close() }

// syncDir does nothing: not every system can sync a directory.
func syncDir(string) error { return nil }
