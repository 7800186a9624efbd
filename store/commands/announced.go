package commands

import (
	"maps"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// Which commands a device takes has to be known after a crash, too, before the device is back: so its schema is recorded when the
// device announces it, and not with the next checkpoint only.

// announcement is a schema that a device has announced; the zero value: none any more.
type announcement struct {
	hash    device.Hash
	message []byte // SCHEMA
}

// announce has the schema of a device recorded unless it is.
func (ch *Change) announce(id string, a announcement) {
	if ch.book.announced[id] != a.hash {
		ch.announced[id] = a
	}
}

// writeAnnounced records schemas, and which devices have announced them.
func (ch *Change) writeAnnounced(tx *bbolt.Tx) error {
	schemas := tx.Bucket(hubdb.BucketSchemas)
	for id, a := range ch.announced {
		if a.hash == (device.Hash{}) {
			if err := tx.Bucket(hubdb.BucketAnnounced).Delete([]byte(id)); err != nil {
				return err
			}
			continue
		}
		if schemas.Get(a.hash[:]) == nil {
			if err := hubdb.Put(schemas, a.hash[:], a.message); err != nil {
				return err
			}
		}
		if err := hubdb.Put(tx.Bucket(hubdb.BucketAnnounced), []byte(id), a.hash[:]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) loadAnnounced(tx *bbolt.Tx) error {
	return b.DB.Each(tx, hubdb.BucketAnnounced, func(k, v []byte) error {
		// Without its schema it would not be recorded again when the device announces it.
		if len(v) != device.HashSize || hubdb.Get(tx.Bucket(hubdb.BucketSchemas), v) == nil {
			return hubdb.ErrRecord
		}
		b.announced[string(k)] = device.Hash(v)
		return nil
	})
}

// Announced returns the schema that each device announced last. What the registry knows of that may be older.
func (b *Book) Announced() map[string]device.Hash {
	b.writing.Lock()
	defer b.writing.Unlock()
	return maps.Clone(b.announced)
}

// publishAnnounced takes note of what is recorded.
func (ch *Change) publishAnnounced() {
	for id, a := range ch.announced {
		if a.hash == (device.Hash{}) {
			delete(ch.book.announced, id)
		} else {
			ch.book.announced[id] = a.hash
		}
	}
}
