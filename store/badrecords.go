package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// errRecord is what is wrong with a record that the hub can't have written.
var errRecord = errors.New("damaged record")

// badRecords are the records of hub.db that can't be read. One of them costs what it holds, and nothing else: whoever loads hub.db
// notes it here and goes on, and remove takes it out, so that nobody meets it later.
type badRecords struct {
	list []badRecord
}

type badRecord struct {
	bucket, key []byte
	err         error
}

// each calls f with every key and value of a bucket. Where the value is damaged, or f returns an error, the record is bad; f must
// not have kept anything of it then.
func (r *badRecords) each(tx *bbolt.Tx, bucket []byte, f func(k, v []byte) error) error {
	return tx.Bucket(bucket).ForEach(func(k, sealed []byte) error {
		value, ok := unseal(k, sealed)
		err := errRecord
		if ok {
			err = f(k, value)
		}
		if err != nil {
			r.list = append(r.list, badRecord{bucket, bytes.Clone(k), err})
		}
		return nil
	})
}

// one calls f with the value of a key, if there is one; otherwise it is like each.
func (r *badRecords) one(tx *bbolt.Tx, bucket, key []byte, f func(v []byte) error) {
	sealed := tx.Bucket(bucket).Get(key)
	if sealed == nil {
		return
	}
	value, ok := unseal(key, sealed)
	err := errRecord
	if ok {
		err = f(value)
	}
	if err != nil {
		r.list = append(r.list, badRecord{bucket, key, err})
	}
}

// in says whether a bucket has bad records.
func (r *badRecords) in(bucket []byte) bool {
	return slices.ContainsFunc(r.list, func(bad badRecord) bool { return bytes.Equal(bad.bucket, bucket) })
}

// checkRest reads what nothing is made of at start.
func (r *badRecords) checkRest(tx *bbolt.Tx) error {
	return errors.Join(
		r.each(tx, bucketSchemas, func(k, v []byte) error {
			src, err := tail.NewSource(0, "", 0, v)
			if err == nil && !bytes.Equal(k, src.Hash[:]) {
				err = errRecord
			}
			return err
		}),
		r.each(tx, bucketDeadLetters, func(k, v []byte) error {
			var letter DeadLetter
			return letter.decode(k, v)
		}),
	)
}

// remove takes the bad records out of hub.db, of which it keeps a copy as it was found, and returns what to say about them; "" if
// there are none. Where that fails, on a full disk, they stay, and the next start finds them again.
func (r *badRecords) remove(s *Store) string {
	if len(r.list) == 0 {
		return ""
	}
	counts := map[string]int{}
	for _, bad := range r.list {
		counts[string(bad.bucket)]++
		s.log.Error("a record in hub.db can't be read", "bucket", string(bad.bucket), "key", fmt.Sprintf("%q", bad.key), "error", bad.err)
	}
	var of []string
	for _, bucket := range slices.Sorted(maps.Keys(counts)) {
		of = append(of, fmt.Sprintf("%s %d", bucket, counts[bucket]))
	}
	text := fmt.Sprintf("%d records in hub.db could not be read (%s), and what they held is gone, but for what devices.json, users.json and the journal have",
		len(r.list), strings.Join(of, ", "))
	path := filepath.Join(s.opts.Dir, "hub.db")
	kept, err := boltfile.CopyAside(path, s.now())
	if err != nil {
		return fmt.Sprintf("%s. They are still in the file, because no copy of it could be made: %v", text, err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, bad := range r.list {
			if err := tx.Bucket(bad.bucket).Delete(bad.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Sprintf("%s. They could not be taken out: %v", text, err)
	}
	return fmt.Sprintf("%s. They were taken out; the file as it was is kept as %s", text, kept)
}
