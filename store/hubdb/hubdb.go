// Package hubdb is hub.db, the bbolt file with everything of the hub that is neither a frame nor history: each part of the store
// has buckets of its own in it. Every value stands behind a checksum. A record that is damaged costs what it holds and nothing
// else; records that must not get lost stand in a copy beside hub.db as well, see [Copy].
package hubdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
)

var (
	// ErrLocked says that another process has the file open.
	ErrLocked = errors.New("the data directory is in use by another process")
	// ErrRecord says that the hub can't have written a record.
	ErrRecord = errors.New("damaged record")
)

const (
	fileName = "hub.db"
	reserve  = 256 << 20 // bytes of address space, so that the file grows without waiting for readers
)

// DB is the open file.
type DB struct {
	*boltfile.File
	path    string
	fresh   bool            // see Fresh
	damaged []damagedRecord // found while it was loaded
}

// Open opens or creates hub.db in a directory. A damaged file is renamed, and setAside is its new name.
func Open(dir string, now time.Time) (db *DB, setAside string, err error) {
	path := filepath.Join(dir, fileName)
	file, err := open(path)
	if errors.Is(err, boltfile.ErrDamaged) {
		var renameErr error
		if setAside, renameErr = boltfile.SetAside(path, now); renameErr != nil {
			return nil, "", errors.Join(err, renameErr)
		}
		file, err = open(path)
	}
	if err != nil {
		return nil, "", err
	}
	db = &DB{File: file, path: path}
	err = db.View(func(tx *bbolt.Tx) error {
		db.fresh = Get(tx.Bucket(BucketMeta), KeyAccounts) == nil
		return nil
	})
	if err != nil {
		return nil, "", errors.Join(err, db.Close())
	}
	return db, setAside, nil
}

// Fresh tells whether the file was new when it was opened: what the copies have was not restored into it yet.
func (db *DB) Fresh() bool { return db.fresh }

func open(path string) (*boltfile.File, error) {
	file, err := boltfile.Open(path, reserve)
	if errors.Is(err, boltfile.ErrLocked) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	if err := makeBuckets(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// makeBuckets makes the buckets that are missing. It writes only if it has to: the disk may be full.
func makeBuckets(file *boltfile.File) error {
	missing := false
	err := file.View(func(tx *bbolt.Tx) error {
		missing = slices.ContainsFunc(buckets, func(name []byte) bool { return tx.Bucket(name) == nil })
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return file.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("%w: bucket %s: %w", boltfile.ErrDamaged, name, err)
			}
		}
		return nil
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put stores a value behind a checksum of the key and the value: bbolt has none for its data pages.
func Put(b *bbolt.Bucket, key, value []byte) error {
	sealed := binary.LittleEndian.AppendUint32(make([]byte, 0, len(value)+4), checksum(key, value))
	return b.Put(key, append(sealed, value...))
}

// PutChanged is Put, but writes nothing if the value is stored already.
func PutChanged(b *bbolt.Bucket, key, value []byte) error {
	if old := Get(b, key); old != nil && bytes.Equal(old, value) {
		return nil
	}
	return Put(b, key, value)
}

// Get returns the value of a key, nil if there is none or it is damaged. The value aliases the file.
func Get(b *bbolt.Bucket, key []byte) []byte {
	value, ok := Unseal(key, b.Get(key))
	if !ok {
		return nil
	}
	return value
}

// Unseal checks what Put stored. The value aliases the file.
func Unseal(key, sealed []byte) (value []byte, ok bool) {
	if len(sealed) < 4 {
		return nil, false
	}
	value = sealed[4:]
	sum := binary.LittleEndian.Uint32(sealed)
	// Before it covered the key, the checksum was that of the value.
	return value, sum == checksum(key, value) || sum == crc32.Checksum(value, castagnoli)
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// Encode encodes a record as CBOR, which can't fail with types of our own.
func Encode(record any) []byte {
	b, err := cbor.Marshal(record)
	if err != nil {
		panic(err)
	}
	return b
}

// Key8 is a number as a key that sorts like the number.
func Key8(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// ParseKey8 reads what Key8 wrote.
func ParseKey8(key []byte) (n uint64, ok bool) {
	if len(key) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key), true
}

// SeekBefore moves a cursor to the last key below number, or to the last of all for 0.
func SeekBefore(c *bbolt.Cursor, number uint64) (k, v []byte) {
	if number == 0 {
		return c.Last()
	}
	if k, _ := c.Seek(Key8(number)); k == nil {
		return c.Last()
	}
	return c.Prev()
}
