package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// databaseReserve is address space for hub.db, so that it grows without waiting for readers.
const databaseReserve = 256 << 20

// openDatabase opens or creates hub.db. One that is damaged is renamed, and setAside is its new name.
func openDatabase(path string, now time.Time) (db *boltfile.File, setAside string, err error) {
	db, err = tryDatabase(path)
	if !errors.Is(err, boltfile.ErrDamaged) {
		return db, "", err
	}
	setAside, renameErr := boltfile.SetAside(path, now)
	if renameErr != nil {
		return nil, "", errors.Join(err, renameErr)
	}
	db, err = tryDatabase(path)
	return db, setAside, err
}

func tryDatabase(path string) (*boltfile.File, error) {
	db, err := boltfile.Open(path, databaseReserve)
	if errors.Is(err, boltfile.ErrLocked) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	if err := makeBuckets(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// makeBuckets makes the buckets that are not there. It writes only if it has to: a disk may be full.
func makeBuckets(db *boltfile.File) error {
	missing := false
	err := db.View(func(tx *bbolt.Tx) error {
		missing = slices.ContainsFunc(buckets, func(name []byte) bool { return tx.Bucket(name) == nil })
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("%w: bucket %s: %w", boltfile.ErrDamaged, name, err)
			}
		}
		return nil
	})
}

// put stores a value behind a checksum of the key and the value: bbolt has none for its data pages.
func put(b *bbolt.Bucket, key, value []byte) error {
	sealed := binary.LittleEndian.AppendUint32(make([]byte, 0, len(value)+4), recordChecksum(key, value))
	return b.Put(key, append(sealed, value...))
}

// putChanged is put of what is mostly as it was.
func putChanged(b *bbolt.Bucket, key, value []byte) error {
	if old := get(b, key); old != nil && bytes.Equal(old, value) {
		return nil
	}
	return put(b, key, value)
}

// get returns the value of a key, nil if there is none or it is damaged.
func get(b *bbolt.Bucket, key []byte) []byte {
	value, ok := unseal(key, b.Get(key))
	if !ok {
		return nil
	}
	return value
}

// unseal checks what put stored. The value aliases the database.
func unseal(key, sealed []byte) (value []byte, ok bool) {
	if len(sealed) < 4 {
		return nil, false
	}
	value = sealed[4:]
	checksum := binary.LittleEndian.Uint32(sealed)
	// Before it covered the key, the checksum was that of the value.
	return value, checksum == recordChecksum(key, value) || checksum == crc32.Checksum(value, castagnoli)
}

func recordChecksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
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

// writeFile replaces a file so that a power cut leaves the old or the new content.
func writeFile(path string, b []byte) error {
	// One name, so that what a crash leaves behind is one file. Nobody writes the same file twice at a time.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
