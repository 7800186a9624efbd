package store

import (
	"bytes"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

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
