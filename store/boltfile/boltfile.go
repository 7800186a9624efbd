// Package boltfile opens bbolt files in such a way that a damaged one costs an error and not the process.
//
// bbolt trusts what it reads: a wrong page makes it panic, fault or recurse without end, partly in goroutines of its own
// where nobody can recover. So the whole tree is checked with plain reads before bbolt sees the file, and every
// transaction turns a panic or a memory fault into an error that wraps ErrDamaged.
package boltfile

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

var (
	// ErrDamaged says that a file cannot be used. SetAside renames it, so that Open makes a new one.
	ErrDamaged = errors.New("damaged file")
	// ErrLocked says that another process has the file open.
	ErrLocked = errors.New("file is in use by another process")
)

// File is an open bbolt file. Its methods may be called concurrently. No value may be longer than 8 MiB: Open takes pages that
// long for damaged.
type File struct {
	path   string
	db     *bolt.DB
	locked *os.File              // what db has open
	broken atomic.Pointer[error] // set once bbolt has panicked

	spare     sync.Mutex
	allocated int64 // bytes of the file that have room on the disk for sure
	reverted  bool  // see Reverted
}

// Reverted tells whether the file may lack its last transaction: of its two meta pages, which are written in turn, one was damaged
// when it was opened.
func (f *File) Reverted() bool { return f.reverted }

// View runs fn in a read transaction. Nothing fn is given may be used after it returns. A long one makes the file grow.
func (f *File) View(fn func(*bolt.Tx) error) error {
	return f.guard(func() error { return f.db.View(fn) })
}

// Update runs fn in a write transaction. After an error of the commit the transaction may or may not have taken place.
func (f *File) Update(fn func(*bolt.Tx) error) error {
	defer f.keepSpare()
	return f.guard(func() error {
		// Not db.Update: after a panic it rolls back by walking the damaged tree in a goroutine of its own.
		tx, err := f.db.Begin(true)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// guard makes an error of a panic. From then on the file is not touched any more: bbolt may still hold its locks.
func (f *File) guard(fn func() error) error {
	if broken := f.broken.Load(); broken != nil {
		return *broken
	}
	err := recovered(fn)
	if errors.Is(err, ErrDamaged) {
		f.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// recovered calls fn and returns a panic or a memory fault in it as an error.
func recovered(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}

// Damaged tells whether a transaction has found the file damaged.
func (f *File) Damaged() bool { return f.broken.Load() != nil }

// Space says how large the file is, and how much of that is in use, in bytes.
func (f *File) Space() (size, used int64, err error) {
	err = f.View(func(tx *bolt.Tx) error {
		size = tx.Size()
		return nil
	})
	stats := f.db.Stats()
	return size, size - int64(stats.FreePageN+stats.PendingPageN)*pageSize, err
}

// Release takes the pages that have been read out of the process's resident memory. Without it, that becomes as large as the
// file in time, because bbolt maps the file.
func (f *File) Release() error {
	return f.View(func(tx *bolt.Tx) error {
		// While the transaction is open the file can't be mapped elsewhere.
		return unmap(f.db.Info().Data, tx.Size())
	})
}

// Close closes the file. Of a damaged one only the lock is given up, so that it can be opened again, or replaced: bbolt's
// own Close could wait for ever.
func (f *File) Close() error {
	if f.Damaged() {
		return unlock(f.locked)
	}
	return recovered(f.db.Close)
}
