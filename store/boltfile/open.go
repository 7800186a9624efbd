package boltfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	lockTimeout = 2 * time.Second
	// growBytes is how much a file grows at a time beyond what it needs.
	growBytes = 4 << 20
	// compactBytes is the size of the transactions that fill a compacted file.
	compactBytes = 1 << 20
)

// Open opens the file, or makes it. reserve is how large it may become without bbolt having to wait for readers in order
// to map it anew; it is address space, not memory. The error wraps ErrDamaged or ErrLocked where they apply.
func Open(path string, reserve int64) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open %s: %w: not a regular file", path, ErrDamaged)
	}
	f, err := open(path, reserve, false)
	if _, named := errors.AsType[*fs.PathError](err); named {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f.keepSpare()
	return f, f.Release() // bbolt has read all of it
}

func open(path string, reserve int64, noSync bool) (*File, error) {
	f := &File{path: path}
	if math.MaxInt == math.MaxInt32 {
		reserve = 0 // address space is scarce
	}
	err := recovered(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:         lockTimeout,
			PageSize:        pageSize,
			FreelistType:    bolt.FreelistMapType,
			NoFreelistSync:  true,
			NoSync:          noSync,
			InitialMmapSize: int(reserve),
			OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
				f.locked, f.reverted, err = openChecked(name, flag, mode)
				return f.locked, err
			},
		})
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	f.db.AllocSize = growBytes
	return f, nil
}

// openChecked opens the file for bbolt, locks it as bbolt will, and checks it under the lock.
func openChecked(path string, flag int, mode os.FileMode) (f *os.File, reverted bool, err error) {
	if f, err = os.OpenFile(path, flag, mode); err != nil {
		return nil, false, err
	}
	if reverted, err = lockAndCheck(f); err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, reverted, nil
}

// unlock gives up the lock that lockAndCheck took.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

func lockAndCheck(f *os.File) (reverted bool, err error) {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return false, fmt.Errorf("lock: %w", err)
		}
		if time.Now().After(deadline) {
			return false, ErrLocked
		}
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err // bbolt fills an empty file
	}
	if reverted, err = check(f, info.Size()); err != nil {
		return false, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return reverted, nil
}

// create makes an empty bbolt file that has its name only once it is complete.
func create(path string) error {
	temporary := path + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	f, err := open(temporary, 0, false)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return rename(temporary, path)
}

// SetAside renames a damaged file to path.damaged-<time> and returns that name. Of those only the newest is kept.
func SetAside(path string, now time.Time) (string, error) {
	name, err := freeAside(path, now)
	if err != nil {
		return "", err
	}
	return name, rename(path, name)
}

// CopyAside is SetAside for a file that goes on to be used: it keeps a copy. Nothing may be writing to the file.
func CopyAside(path string, now time.Time) (string, error) {
	name, err := freeAside(path, now)
	if err != nil {
		return "", err
	}
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	part := path + ".new"
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(part))
	}
	return name, rename(part, name)
}

// freeAside removes what was set aside of a file before, and returns the name for what is set aside now.
func freeAside(path string, now time.Time) (string, error) {
	prefix := path + ".damaged-"
	old, err := siblings(prefix)
	if err != nil {
		return "", err
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			return "", err
		}
	}
	return prefix + now.UTC().Format("20060102T150405Z"), nil
}

// siblings returns the files whose path begins with prefix.
func siblings(prefix string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(prefix)) {
			names = append(names, filepath.Join(filepath.Dir(prefix), e.Name()))
		}
	}
	return names, nil
}

// rename renames durably.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Compact writes what is in use into a new file, which takes the name of f. f is closed if there is no error, and goes on
// to work if there is one.
func (f *File) Compact(reserve int64) (*File, error) {
	temporary := f.path + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return nil, err
	}
	if err := f.copyTo(temporary); err != nil {
		return nil, errors.Join(fmt.Errorf("compact %s: %w", f.path, err), os.Remove(temporary))
	}
	if err := rename(temporary, f.path); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return Open(f.path, reserve)
}

func (f *File) copyTo(path string) error {
	to, err := open(path, 0, true) // synced once, at the end
	if err != nil {
		return err
	}
	err = f.guard(func() error { return bolt.Compact(to.db, f.db, compactBytes) })
	if err == nil {
		err = to.db.Sync()
	}
	return errors.Join(err, to.Close())
}
