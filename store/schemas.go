package store

import (
	"bytes"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxSchemas bounds the cache; above it the cache begins anew.
const maxSchemas = 1024

// schemas caches what was announced, so that devices of one firmware share one schema; guarded by Store.mu.
type schemas map[device.Hash]announced

type announced struct {
	schema  *device.Schema
	message []byte // SCHEMA
}

func (ss schemas) put(hash device.Hash, a announced) {
	if len(ss) >= maxSchemas {
		clear(ss)
	}
	ss[hash] = a
}

// SchemaByHash returns a schema announced at any time by any device, with its SCHEMA message.
func (s *Store) SchemaByHash(hash device.Hash) (schema *device.Schema, message []byte, ok bool) {
	s.mu.Lock()
	a, ok := s.schemas[hash]
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
