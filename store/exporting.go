package store

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// maxRefusedWaiting is how many refused frames may wait for a checkpoint before the export does.
const maxRefusedWaiting = 2000

// exportDeps is what the export is given.
func (s *Store) exportDeps() export.Deps {
	return export.Deps{
		Log: s.log, Clock: s.clock, Received: s.receivedAt, Decode: s.decodeFrame, Refused: s.keepRefused,
		Alarm:   func(text string) { s.Alarms.Set(export.Name, text) },
		Device:  s.exportedDevice,
		Damaged: func(gap journal.Gap) { s.Outages.EnterGap(s.damaged(gap)) },
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
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	d := s.registry.devices[id]
	if d == nil {
		return export.Device{}, false
	}
	return export.Device{Created: d.Created, Kind: d.Kind, Labels: d.Labels}, true
}

// decodeFrame decodes a journal entry if it is a frame; else the schema of what it returns is nil.
func (s *Store) decodeFrame(b []byte, data *device.Data) (f export.Frame, err error) {
	var e tail.Entry
	if err := tail.Parse(b, &e); err != nil || e.Kind != tail.KindFrame {
		return f, err
	}
	src := s.sources.Get(e.Number)
	if src == nil {
		return f, fmt.Errorf("its source %d is not defined", e.Number)
	}
	if err := device.ParseData(e.Message, src.Schema, data); err != nil {
		return f, err
	}
	return export.Frame{Source: e.Number, Device: src.Device, Schema: src.Schema, Offset: e.Timing.Offset}, nil
}

// damaged is the gap that the export passed over.
func (s *Store) damaged(skipped journal.Gap) outages.Gap {
	g := outages.Gap{First: skipped.First, Last: skipped.Last, Cause: "damaged"}
	for _, d := range s.journal.Damage() {
		if d.FirstMissing <= g.Last && g.First <= d.LastMissing {
			g.Cause, g.SetAside = string(d.Kind)+" in "+d.Segment, d.SetAside
		}
	}
	return g
}

// keepRefused has what InfluxDB refused kept as dead letters, or returns false if ctx ends first. While hub.db can't be written, only
// so many wait in memory.
func (s *Store) keepRefused(ctx context.Context, lines []export.Refused) bool {
	var letters []DeadLetter
	for _, r := range lines {
		letters = append(letters, DeadLetter{
			Position: r.Position, Device: r.Device, Received: r.Received, Seq: r.Seq, Text: r.Text, Message: r.Message, Lines: r.Lines,
		})
	}
	s.mu.Lock()
	s.shelf.add(letters)
	waiting := s.shelf.waiting()
	s.mu.Unlock()
	for waiting > maxRefusedWaiting && s.Checkpoint() != nil {
		select {
		case <-time.After(retryTail):
		case <-ctx.Done():
			return false
		}
	}
	return true
}
