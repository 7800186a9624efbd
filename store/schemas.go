package store

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// sourceRecord is a source in hub.db; its schema stands in the bucket of schemas.
type sourceRecord struct {
	_        struct{} `cbor:",toarray"`
	Device   string
	Stream   uint64
	Hash     device.Hash
	Position uint64
}

func saveSources(tx *bbolt.Tx, c *tail.SourceChange) error {
	b := tx.Bucket(hubdb.BucketSources)
	for _, number := range c.Remove {
		if err := b.Delete(hubdb.Key8(number)); err != nil {
			return err
		}
	}
	schemas := tx.Bucket(hubdb.BucketSchemas)
	for i, src := range c.Add {
		record := hubdb.Encode(&sourceRecord{Device: src.Device, Stream: src.Stream, Hash: src.Hash, Position: c.Positions[i]})
		if err := hubdb.Put(b, hubdb.Key8(src.Number), record); err != nil {
			return err
		}
		if schemas.Get(src.Hash[:]) == nil {
			if err := hubdb.Put(schemas, src.Hash[:], src.Message); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneSchemas deletes from hub.db the schemas that neither a source, nor what a device has announced last, nor any of those in use
// names.
func pruneSchemas(tx *bbolt.Tx, used map[device.Hash]bool) error {
	err := tx.Bucket(hubdb.BucketSources).ForEach(func(k, sealed []byte) error {
		var r sourceRecord
		if value, ok := hubdb.Unseal(k, sealed); ok && cbor.Unmarshal(value, &r) == nil {
			used[r.Hash] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(hubdb.BucketAnnounced).ForEach(func(k, sealed []byte) error {
		if value, ok := hubdb.Unseal(k, sealed); ok && len(value) == device.HashSize {
			used[device.Hash(value)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	var unused [][]byte
	c := tx.Bucket(hubdb.BucketSchemas).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) != device.HashSize || !used[device.Hash(k)] {
			unused = append(unused, bytes.Clone(k))
		}
	}
	for _, k := range unused {
		if err := tx.Bucket(hubdb.BucketSchemas).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// SchemaByHash returns a schema announced at any time by any device, with its SCHEMA message.
func (s *Store) SchemaByHash(hash device.Hash) (schema *device.Schema, message []byte, ok bool) {
	if schema, message, ok = s.schemas.Get(hash); ok {
		return schema, message, true
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		message = bytes.Clone(hubdb.Get(tx.Bucket(hubdb.BucketSchemas), hash[:]))
		return nil
	})
	if err != nil || message == nil {
		return nil, nil, false
	}
	src, err := tail.NewSource(0, "", 0, message)
	if err != nil {
		return nil, nil, false
	}
	s.schemas.Put(hash, src.Schema, message)
	return src.Schema, message, true
}

// DeviceSchema returns the schema the device announced last.
func (s *Store) DeviceSchema(id string) (*device.Schema, bool) {
	d, err := s.Devices.Get(id)
	if err != nil || d.Schema == (device.Hash{}) {
		return nil, false
	}
	schema, _, ok := s.SchemaByHash(d.Schema)
	return schema, ok
}

// commanded is what has to be known of a device that commands are sent to.
func (s *Store) commanded(id string) (commands.Device, error) {
	d, err := s.Devices.Get(id)
	if err != nil {
		return commands.Device{}, err
	}
	c := commands.Device{Revoked: d.Revoked, Hash: d.Schema}
	if d.Schema != (device.Hash{}) {
		c.Schema, c.Message, _ = s.SchemaByHash(d.Schema)
	}
	return c, nil
}
