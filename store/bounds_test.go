package store

import (
	"fmt"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestSchemasArePruned: hub.db keeps a schema as long as the journal has frames of it or a device has announced it last.
func TestSchemasArePruned(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	register(t, s, "a")
	var last device.Hash
	for n := range 40 {
		w := newWriter(t, s, 1)
		w.Seq = uint64(n) * 30
		schema := &device.Schema{Channels: []device.Channel{storetest.TextSchema.Channels[0], {ID: 2, Name: fmt.Sprint("n", n), Type: device.Int}}}
		message := device.AppendControl(nil, schema)
		last = device.HashSchema(message)
		w.Schema(message, schema)
		s.Devices.Note("a", &device.Hello{SchemaHash: last})
		w.Send(30)
		settle(t, s)
		if err := s.history.Current().Flush(true); err != nil {
			t.Fatal(err)
		}
		s.Ledger.Trim()
	}
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	kept := map[device.Hash]bool{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(hubdb.BucketSchemas).ForEach(func(k, _ []byte) error {
			kept[device.Hash(k)] = true
			return nil
		})
	})
	if err != nil || len(kept) > 10 || !kept[last] {
		t.Errorf("%d schemas are kept, the last one %v, %v", len(kept), kept[last], err)
	}
}

// TestRemovedDeviceLeavesNothing: of a device that is removed nothing stays in memory or in hub.db but settled commands and the trail.
func TestRemovedDeviceLeavesNothing(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	register(t, s, "a")
	s.Outages.HubStarted()
	w := newWriter(t, s, 1)
	s.Devices.Note("a", &device.Hello{SchemaHash: device.HashSchema(device.AppendControl(nil, storetest.TextSchema))})
	s.Outages.DeviceConnected("a")
	w.Send(1)
	settle(t, s)
	if _, _, err := s.Commands.Delivery("a", 1).Exchange(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{hubdb.BucketDevices, hubdb.BucketBooks, hubdb.BucketDesired, hubdb.BucketAnnounced, hubdb.BucketIncidents} {
			if v := tx.Bucket(name).Get([]byte("a")); v != nil {
				t.Errorf("%s has %q", name, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Commands.Announced()["a"] != (device.Hash{}) || len(s.Settings.List("a")) > 0 || s.Ledger.Books("a") != (ledger.Books{}) {
		t.Error("something is still in memory")
	}
}

// TestStatusSaysWhatCanBeRead: the history writes seldom, and what it has read and not written can be read all the same.
func TestStatusSaysWhatCanBeRead(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	register(t, s, "a")
	newWriter(t, s, 1).Send(10)
	settle(t, s)
	for _, tail := range s.Status().Tails {
		if next := s.journal.Next(); tail.Unread != 0 || tail.Name == "history" && tail.LagEntries == 0 {
			t.Errorf("%+v, the journal is at %d", tail, next)
		}
	}
}
