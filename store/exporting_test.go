package store

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// exporting opens a store that exports.
func exporting(t testing.TB, o Options, c influx.Config) *Store {
	t.Helper()
	c.Bucket = influxtest.Database
	o.Influx = &export.Options{Config: c, FlushInterval: 20 * time.Millisecond}
	return open(t, o)
}

func register(t testing.TB, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.Devices.Add([]devices.NewDevice{{ID: id, Kind: "meter"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// drain waits until everything that was handed in is exported.
func drain(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the export", func() bool { return s.Export.Reached() >= s.journal.Next() })
}

// arrived counts the frames of writers in InfluxDB.
func arrived(db *influxtest.Server) uint64 {
	n, _ := db.Exec(`SELECT count(text) FROM meter`)[0].Values[0][1].(json.Number).Int64()
	return uint64(n)
}

// TestJournalLimitDropsOldest fills the journal during an outage: what has to go is in the books, and the rest arrives.
func TestJournalLimitDropsOldest(t *testing.T) {
	db := influxtest.Prepare(t)
	s := exporting(t, Options{JournalMaxBytes: 4 * testSegment}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	w := newWriter(t, s, 1)
	w.Send(1) // the batch that is on its way meanwhile
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	if h := s.Status().Export.Horizon; !h.IsZero() {
		t.Errorf("horizon %v without a rate", h)
	}
	w.fill(600)
	if err := s.history.Reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.Ledger.Trim()
	s.Export.Sample()
	status := s.Status()
	if len(status.Gaps) != 1 || status.Gaps[0].Tail != export.Name || status.Gaps[0].Last != status.Journal.First-1 || !strings.Contains(status.Gaps[0].Cause, "before they were exported") {
		t.Fatalf("gaps %+v, the journal begins at %d", status.Gaps, status.Journal.First)
	}
	e := status.Export
	if gap := status.Gaps[0]; e.Dropped != gap.Last-gap.First+1 {
		t.Errorf("%d entries dropped, gap %+v", e.Dropped, gap)
	}
	w.fill(300)
	if err := s.history.Reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.Ledger.Trim()
	if gaps := s.Status().Gaps; len(gaps) != 1 || gaps[0].Last != s.journal.First()-1 {
		t.Errorf("the gap did not grow: %+v", gaps)
	}

	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	drain(t, s)
	dropped := s.Status().Export.Dropped
	// Besides frames, the dropped entries were the definition of the source in each dropped segment.
	lines := arrived(db)
	if segments := uint64(901/60 + 1); lines+dropped < 901 || lines+dropped > 901+segments {
		t.Errorf("%d lines arrived, %d entries were dropped, 901 frames were sent", lines, dropped)
	}
}

// TestWhatWaitsIsKept opens the store without an export, as a command does: the journal must keep what waits.
func TestWhatWaitsIsKept(t *testing.T) {
	db := influxtest.Prepare(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	w := newWriter(t, s, 1)
	w.Send(299)
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	w.Send(1) // begins a segment
	stop()

	trimmed := func(forget bool) uint64 {
		s := open(t, Options{Dir: dir})
		stop := storetest.Run(t, s)
		defer stop()
		if forget {
			if err := s.Export.Forget(); err != nil {
				t.Error(err)
			}
		}
		if err := s.history.Reach(t.Context(), s.journal.Next()); err != nil {
			t.Fatal(err)
		}
		if err := s.history.Current().Flush(true); err != nil {
			t.Fatal(err)
		}
		s.Ledger.Trim()
		if s.Status().Export != nil {
			t.Error("an export is reported where there is none")
		}
		return s.journal.First()
	}
	if first := trimmed(false); first != 1 {
		t.Errorf("the journal begins at %d, although everything waits", first)
	}
	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	s = exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	stop = storetest.Run(t, s)
	drain(t, s)
	if err := s.history.Current().Flush(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hub.db to know it", func() bool {
		s.Ledger.Trim()
		return s.Export.Floor() >= s.journal.Segments()[0].Next
	})
	stop()
	if n := arrived(db); n != 300 {
		t.Errorf("%d lines arrived", n)
	}
	if first := trimmed(true); first == 1 {
		t.Error("the journal keeps what nobody waits for")
	}
}

// TestHorizonComesTrue lives through an outage until the journal is full: that happens when, and to what, the status said
// it would.
func TestHorizonComesTrue(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var elapsed atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
	s := exporting(t, Options{JournalMaxBytes: 16 * testSegment, Now: now}, influx.Config{URL: "http://127.0.0.1:1"})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	w := newWriter(t, s, 1)
	const framesPerStep, stepTakes = 10, 5 * time.Second
	step := func() *export.Status {
		w.Send(framesPerStep)
		settle(t, s)
		elapsed.Add(int64(stepTakes))
		s.Ledger.Trim()
		s.Export.Sample()
		return s.Status().Export
	}
	for range 23 {
		step()
	}
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	e := step()
	predicted, segment := e.Horizon, time.Duration(testSegment/device.MaxString/framesPerStep)*stepTakes
	if kept := s.Status().Journal; e.Waiting.Entries < 24*framesPerStep || e.Waiting.Bytes > kept.Bytes || e.Waiting.Bytes < kept.Bytes*9/10 ||
		!e.Waiting.Oldest.Equal(start) || !e.Oldest.Equal(start) || e.Rate != 0 || !e.Done.IsZero() {
		t.Errorf("status %+v, journal %+v", e, kept)
	}
	for steps := 0; e.Dropped == 0; steps++ {
		if e = step(); steps == 1000 {
			t.Fatalf("the journal holds out, although it was to be full at %v", predicted)
		}
	}
	if late := now().Sub(predicted); late.Abs() > segment {
		t.Errorf("the journal was full %v later than predicted; a segment is %v", late, segment)
	}
	gaps := s.Status().Gaps
	if len(gaps) != 1 || gaps[0].Last-gaps[0].First+1 != e.Dropped {
		t.Errorf("%d dropped, gaps %+v", e.Dropped, gaps)
	}
	// What comes next is the oldest that is left.
	if oldest := s.journal.Segments()[0].Oldest; !e.Oldest.Equal(oldest) || !oldest.After(start) {
		t.Errorf("next to go: from %v on, the journal begins at %v", e.Oldest, oldest)
	}
}
