package store

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// The cache is bounded; above that it begins anew. A schema takes a few times the memory of its message.
const (
	maxSchemas     = 1024
	maxSchemaBytes = 2 << 20 // of messages
)

// schemas caches what was announced, so that devices of one firmware share one schema; guarded by Store.mu.
type schemas struct {
	known map[device.Hash]announced
	bytes int // of messages
}

type announced struct {
	schema  *device.Schema
	message []byte // SCHEMA
}

func (ss *schemas) put(hash device.Hash, a announced) {
	if _, known := ss.known[hash]; known {
		return
	}
	if ss.known == nil || len(ss.known) >= maxSchemas || ss.bytes+len(a.message) > maxSchemaBytes {
		ss.known, ss.bytes = map[device.Hash]announced{}, 0
	}
	ss.known[hash] = a
	ss.bytes += len(a.message)
}

// pruneSchemas deletes from hub.db the schemas that neither a source, nor what a device has announced last, nor any of those in use
// names.
func pruneSchemas(tx *bbolt.Tx, used map[device.Hash]bool) error {
	err := tx.Bucket(bucketSources).ForEach(func(k, sealed []byte) error {
		var r sourceRecord
		if value, ok := unseal(k, sealed); ok && cbor.Unmarshal(value, &r) == nil {
			used[r.Hash] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(bucketAnnounced).ForEach(func(k, sealed []byte) error {
		if value, ok := unseal(k, sealed); ok && len(value) == device.HashSize {
			used[device.Hash(value)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	var unused [][]byte
	c := tx.Bucket(bucketSchemas).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) != device.HashSize || !used[device.Hash(k)] {
			unused = append(unused, bytes.Clone(k))
		}
	}
	for _, k := range unused {
		if err := tx.Bucket(bucketSchemas).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// schemasInUse returns the schemas of the devices.
func (r *registry) schemasInUse() map[device.Hash]bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	used := make(map[device.Hash]bool, len(r.devices))
	for _, d := range r.devices {
		used[d.Schema] = true
	}
	return used
}

// SchemaByHash returns a schema announced at any time by any device, with its SCHEMA message.
func (s *Store) SchemaByHash(hash device.Hash) (schema *device.Schema, message []byte, ok bool) {
	s.mu.Lock()
	a, ok := s.schemas.known[hash]
	s.mu.Unlock()
	if ok {
		return a.schema, a.message, true
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		message = bytes.Clone(get(tx.Bucket(bucketSchemas), hash[:]))
		return nil
	})
	if err != nil || message == nil {
		return nil, nil, false
	}
	src, err := newSource(0, "", 0, message)
	if err != nil {
		return nil, nil, false
	}
	s.mu.Lock()
	s.schemas.put(hash, announced{src.schema, message})
	s.mu.Unlock()
	return src.schema, message, true
}

// DeviceSchema returns the schema the device announced last.
func (s *Store) DeviceSchema(id string) (*device.Schema, bool) {
	d, err := s.Device(id)
	if err != nil || d.Schema == (device.Hash{}) {
		return nil, false
	}
	schema, _, ok := s.SchemaByHash(d.Schema)
	return schema, ok
}
