package hubdb

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
)

// damagedRecord is a record that can't be read. Whoever loads hub.db, with Each and One, has it entered into the list of them and
// goes on; RemoveDamaged takes them out, so that nobody meets them later.
type damagedRecord struct {
	bucket, key []byte
	err         error
}

// Each calls f with every key and value of a bucket. Where the value is damaged, or f returns an error, the record is damaged; f
// must not have kept anything of it then. Each and One are for loading the file, not for concurrent use.
func (db *DB) Each(tx *bbolt.Tx, bucket []byte, f func(k, v []byte) error) error {
	return tx.Bucket(bucket).ForEach(func(k, sealed []byte) error {
		db.load(bucket, k, sealed, func(v []byte) error { return f(k, v) })
		return nil
	})
}

// One calls f with the value of a key, if there is one; otherwise it is like Each.
func (db *DB) One(tx *bbolt.Tx, bucket, key []byte, f func(v []byte) error) {
	if sealed := tx.Bucket(bucket).Get(key); sealed != nil {
		db.load(bucket, key, sealed, f)
	}
}

func (db *DB) load(bucket, key, sealed []byte, f func(v []byte) error) {
	value, ok := Unseal(key, sealed)
	err := ErrRecord
	if ok {
		err = f(value)
	}
	if err != nil {
		db.damaged = append(db.damaged, damagedRecord{bucket, bytes.Clone(key), err})
	}
}

// DamagedIn tells whether a bucket has, or had, damaged records.
func (db *DB) DamagedIn(bucket []byte) bool {
	return slices.ContainsFunc(db.damaged, func(r damagedRecord) bool { return bytes.Equal(r.bucket, bucket) })
}

// ForgetDamaged is called when everything is loaded: the list of damaged records is not needed any more.
func (db *DB) ForgetDamaged() { db.damaged = nil }

// RemoveDamaged deletes the damaged records, keeps a copy of the file as it was, and returns what to say about them; "" if there
// are none. Where that fails, on a full disk, they stay, and the next start finds them again.
func (db *DB) RemoveDamaged(log *slog.Logger, now time.Time) string {
	if len(db.damaged) == 0 {
		return ""
	}
	counts := map[string]int{}
	for _, r := range db.damaged {
		counts[string(r.bucket)]++
		log.Error("a record in hub.db can't be read", "bucket", string(r.bucket), "key", fmt.Sprintf("%q", r.key), "error", r.err)
	}
	var of []string
	for _, bucket := range slices.Sorted(maps.Keys(counts)) {
		of = append(of, fmt.Sprintf("%s %d", bucket, counts[bucket]))
	}
	what, held := fmt.Sprintf("%d records", len(db.damaged)), "they"
	if len(db.damaged) == 1 {
		what, held = "1 record", "it"
	}
	text := fmt.Sprintf("%s in hub.db could not be read (%s), and what %s held is gone, but for what devices.json, users.json and the journal have",
		what, strings.Join(of, ", "), held)
	kept, err := boltfile.CopyAside(db.path, now)
	if err != nil {
		return fmt.Sprintf("%s. Nothing was taken out of the file, because no copy of it could be made: %v", text, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, r := range db.damaged {
			if err := tx.Bucket(r.bucket).Delete(r.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Sprintf("%s. Nothing could be taken out of the file: %v", text, err)
	}
	return fmt.Sprintf("%s. They were taken out; the file as it was is kept as %s", text, kept)
}
