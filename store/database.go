package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// database is hub.db. bbolt panics, or faults, on some damaged pages: every transaction here turns that into an error.
type database struct{ bolt *bbolt.DB }

// openDatabase opens or creates the file. One that can't be used is renamed, and setAside is its new name.
func openDatabase(path string, now func() time.Time) (db *database, setAside string, err error) {
	db, err = tryDatabase(path)
	if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, os.ErrPermission) {
		return db, "", err
	}
	if _, statErr := os.Stat(path); statErr != nil {
		return nil, "", err
	}
	setAside = path + ".damaged-" + now().UTC().Format("20060102T150405.000")
	if renameErr := os.Rename(path, setAside); renameErr != nil {
		return nil, "", errors.Join(err, renameErr)
	}
	db, err = tryDatabase(path)
	return db, setAside, err
}

func tryDatabase(path string) (db *database, err error) {
	db = &database{}
	err = guard(func() error {
		b, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: 2 * time.Second,
			// Without these two every commit rewrites the list of free pages.
			FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
			PageSize: 4096, // the file can move between machines
		})
		if errors.Is(err, bolterrors.ErrTimeout) {
			return ErrLocked
		}
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		db.bolt = b
		return b.Update(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return checkValues(tx)
		})
	})
	if err != nil {
		if db.bolt != nil {
			_ = guard(db.bolt.Close)
		}
		return nil, err
	}
	return db, syncDir(filepath.Dir(path))
}

// checkValues reads everything: hub.db is small, and what is wrong with it has to come out at start. It runs in the
// caller's goroutine, where guard sees a fault, unlike bbolt's own check.
func checkValues(tx *bbolt.Tx) error {
	for _, name := range buckets {
		err := tx.Bucket(name).ForEach(func(k, v []byte) error {
			if _, ok := unseal(v); !ok {
				return fmt.Errorf("a damaged value in %s", name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put stores a value behind its checksum: bbolt has none for its data pages.
func put(b *bbolt.Bucket, key, value []byte) error {
	sealed := binary.LittleEndian.AppendUint32(make([]byte, 0, len(value)+4), crc32.Checksum(value, castagnoli))
	return b.Put(key, append(sealed, value...))
}

// get returns the value of a key, nil if there is none.
func get(b *bbolt.Bucket, key []byte) []byte {
	value, _ := unseal(b.Get(key))
	return value
}

// unseal checks what put stored. The value aliases the database.
func unseal(sealed []byte) (value []byte, ok bool) {
	if len(sealed) < 4 {
		return nil, false
	}
	value = sealed[4:]
	return value, binary.LittleEndian.Uint32(sealed) == crc32.Checksum(value, castagnoli)
}

// each calls f with every key and value of a bucket.
func each(b *bbolt.Bucket, f func(k, v []byte) error) error {
	return b.ForEach(func(k, sealed []byte) error {
		value, _ := unseal(sealed)
		return f(k, value)
	})
}

func (d *database) update(f func(*bbolt.Tx) error) error {
	return guard(func() error { return d.bolt.Update(f) })
}

func (d *database) view(f func(*bbolt.Tx) error) error {
	return guard(func() error { return d.bolt.View(f) })
}

func (d *database) close() error { return guard(d.bolt.Close) }

// guard runs f and returns a panic, or a fault in mapped memory, as an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged database: %v", strings.TrimSpace(fmt.Sprint(p)))
		}
	}()
	return f()
}

func makeDir(dir string) error {
	if dir == "" {
		return errors.New("no data directory given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

// syncDir makes renames and new files in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
