package commands

import (
	"maps"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// What a device can be told has to be known after a crash, too, before the device is back: so it is recorded when the device
// announces it, and not with the next checkpoint only.

// announce has the schema of a device recorded unless it is.
func (ch *commandChange) announce(id string, hash device.Hash) {
	if ch.book.announced[id] != hash {
		ch.announced[id] = hash
	}
}

// writeAnnounced records schemas, and which devices have announced them.
func (ch *commandChange) writeAnnounced(tx *bbolt.Tx) error {
	schemas := tx.Bucket(hubdb.BucketSchemas)
	for id, hash := range ch.announced {
		if hash == (device.Hash{}) {
			if err := tx.Bucket(hubdb.BucketAnnounced).Delete([]byte(id)); err != nil {
				return err
			}
			continue
		}
		if schemas.Get(hash[:]) == nil {
			_, message, ok := ch.book.store.schemas.Get(hash) // of a device that is connected
			if !ok {
				continue
			}
			if err := hubdb.Put(schemas, hash[:], message); err != nil {
				return err
			}
		}
		if err := hubdb.Put(tx.Bucket(hubdb.BucketAnnounced), []byte(id), hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// loadAnnounced corrects what the registry knows of schemas: it may be older.
func (b *commandBook) loadAnnounced(s *Store, tx *bbolt.Tx) error {
	b.announced = map[string]device.Hash{}
	err := s.db.Each(tx, hubdb.BucketAnnounced, func(k, v []byte) error {
		// Without its schema it would not be recorded again when the device announces it.
		if len(v) != device.HashSize || hubdb.Get(tx.Bucket(hubdb.BucketSchemas), v) == nil {
			return hubdb.ErrRecord
		}
		b.announced[string(k)] = device.Hash(v)
		return nil
	})
	b.store.registry.correctSchemas(b.announced)
	return err
}

// correctSchemas sets the schemas that devices have announced.
func (r *registry) correctSchemas(announced map[string]device.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, hash := range announced {
		if d := r.devices[id]; d != nil && d.Schema != hash {
			d = d.clone()
			d.Schema = hash
			r.devices[id] = d
			r.noted[id] = true
		}
	}
}

// publishAnnounced takes note of what is recorded.
func (ch *commandChange) publishAnnounced() {
	maps.Copy(ch.book.announced, ch.announced)
	maps.DeleteFunc(ch.book.announced, func(_ string, hash device.Hash) bool { return hash == (device.Hash{}) })
}
