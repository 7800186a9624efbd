package ledger

import (
	"bytes"
	"errors"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
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

// loadSources reads the sources, and checks the schemas, which are read when they are needed.
func (l *Ledger) loadSources(tx *bbolt.Tx) error {
	return errors.Join(
		l.db.Each(tx, hubdb.BucketSources, func(k, v []byte) error {
			var r sourceRecord
			number, ok := hubdb.ParseKey8(k)
			if err := cbor.Unmarshal(v, &r); err != nil || !ok {
				return errors.Join(err, hubdb.ErrRecord)
			}
			message := slices.Clone(hubdb.Get(tx.Bucket(hubdb.BucketSchemas), r.Hash[:]))
			src, err := tail.NewSource(number, r.Device, r.Stream, message)
			if err == nil {
				l.opts.Sources.Restore(src, r.Position, true)
			}
			return err
		}),
		l.db.Each(tx, hubdb.BucketSchemas, func(k, v []byte) error {
			src, err := tail.NewSource(0, "", 0, v)
			if err == nil && !bytes.Equal(k, src.Hash[:]) {
				err = hubdb.ErrRecord
			}
			return err
		}),
	)
}

// putSources writes what has changed, with the schemas of new sources, and deletes the schemas that nothing names any more. inUse returns
// those of the devices; what is added to it does not matter.
func putSources(tx *bbolt.Tx, c *tail.SourceChange, inUse func() map[device.Hash]bool) error {
	b, schemas := tx.Bucket(hubdb.BucketSources), tx.Bucket(hubdb.BucketSchemas)
	for _, number := range c.Remove {
		if err := b.Delete(hubdb.Key8(number)); err != nil {
			return err
		}
	}
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
	if len(c.Remove) == 0 {
		return nil
	}
	return pruneSchemas(tx, inUse()) // now: what devices have announced is written by the same transaction
}

// pruneSchemas deletes the schemas that neither a source, nor what a device has announced last, nor any of those in use names.
func pruneSchemas(tx *bbolt.Tx, used map[device.Hash]bool) error {
	err := errors.Join(
		tx.Bucket(hubdb.BucketSources).ForEach(func(k, sealed []byte) error {
			var r sourceRecord
			if value, ok := hubdb.Unseal(k, sealed); ok && cbor.Unmarshal(value, &r) == nil {
				used[r.Hash] = true
			}
			return nil
		}),
		tx.Bucket(hubdb.BucketAnnounced).ForEach(func(k, sealed []byte) error {
			if value, ok := hubdb.Unseal(k, sealed); ok && len(value) == device.HashSize {
				used[device.Hash(value)] = true
			}
			return nil
		}),
	)
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
