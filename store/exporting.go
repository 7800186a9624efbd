package store

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// maxRefusedWaiting is how many refused frames may wait for a checkpoint before the export does.
const maxRefusedWaiting = 2000

// exportDeps is what the export is given.
func (s *Store) exportDeps() export.Deps {
	return export.Deps{
		Log: s.log, Clock: s.clock, Received: func(position uint64, at time.Time) time.Time { return s.Ledger.ReceivedAt(position, at) }, Refused: s.keepRefused,
		Alarm:   func(text string) { s.Alarms.Set(export.Name, text) },
		Device:  s.exportedDevice,
		Damaged: func(gap *tail.Gap) { s.Outages.EnterGap(outages.Missing(gap)) },
		Dropped: func(first, last uint64) {
			s.Outages.EnterGap(outages.Gap{First: first, Last: last, Tail: export.Name, Cause: "dropped from the journal before they were exported to InfluxDB"})
		},
		Forget: func() error {
			if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(hubdb.BucketMeta).Delete(hubdb.KeyExport) }); err != nil {
				return fmt.Errorf("forget what waits for InfluxDB: %w", err)
			}
			return nil
		},
	}
}

func (s *Store) exportedDevice(id string) (export.Device, bool) {
	d, err := s.Devices.Get(id)
	if err != nil {
		return export.Device{}, false
	}
	return export.Device{Created: d.Created, Kind: d.Kind, Labels: d.Labels}, true
}

// keepRefused has what InfluxDB refused kept as dead letters, or returns false if ctx ends first. While hub.db can't be written, only
// so many wait in memory.
func (s *Store) keepRefused(ctx context.Context, lines []export.Refused) bool {
	var letters []ledger.DeadLetter
	for _, r := range lines {
		letters = append(letters, ledger.DeadLetter{
			Position: r.Position, Device: r.Device, Received: r.Received, Seq: r.Seq, Text: r.Text, Message: r.Message, Lines: r.Lines,
		})
	}
	waiting := s.Ledger.AddDeadLetters(letters)
	for waiting > maxRefusedWaiting && s.Ledger.Checkpoint() != nil {
		select {
		case <-time.After(retryTail):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// exportSection is what checkpoints have of the export.
func (s *Store) exportSection() (put func(*bbolt.Tx) error, done func(error)) {
	record, first := s.Export.Record()
	put = func(tx *bbolt.Tx) error {
		if record == nil {
			return nil // as it was
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyExport, record)
	}
	return put, func(err error) {
		if err == nil {
			s.Export.Recorded(first)
		}
	}
}
