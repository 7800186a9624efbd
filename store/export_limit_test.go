package store

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

// TestJournalLimitDropsOldest fills the journal during an outage: what has to go is in the books, and the rest arrives.
func TestJournalLimitDropsOldest(t *testing.T) {
	db := influxtest.Prepare(t)
	s := exporting(t, Options{JournalMaxBytes: 4 * testSegment}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := run(t, s)
	defer func() { stop() }()
	w := newWriter(t, s, 1)
	w.send(1) // the batch that is on its way meanwhile
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	if h := s.Status().Export.Horizon; !h.IsZero() {
		t.Errorf("horizon %v without a rate", h)
	}
	w.fill(600)
	if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.trim()
	s.export.sample()
	status := s.Status()
	if len(status.Gaps) != 1 || status.Gaps[0].Tail != exportName || status.Gaps[0].Last != status.Journal.First-1 || !strings.Contains(status.Gaps[0].Cause, "before they were exported") {
		t.Fatalf("gaps %+v, the journal begins at %d", status.Gaps, status.Journal.First)
	}
	e := status.Export
	if gap := status.Gaps[0]; e.Dropped != gap.Last-gap.First+1 {
		t.Errorf("%d entries dropped, gap %+v", e.Dropped, gap)
	}
	w.fill(300)
	if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.trim()
	if gaps := s.Status().Gaps; len(gaps) != 1 || gaps[0].Last != s.journal.First()-1 {
		t.Errorf("the gap did not grow: %+v", gaps)
	}

	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	drain(t, s)
	dropped := s.Status().Export.Dropped
	series := db.Exec(`SELECT count(text) FROM meter`)
	// Besides frames, the dropped entries were the definition of the source in each dropped segment.
	lines := number(series[0].Values[0][1])
	if segments := uint64(901/60 + 1); lines+dropped < 901 || lines+dropped > 901+segments {
		t.Errorf("%d lines arrived, %d entries were dropped, 901 frames were sent", lines, dropped)
	}
}

// TestDroppedWhileFilled gives positions up while a batch is made of them: what the books call dropped is not sent.
func TestDroppedWhileFilled(t *testing.T) {
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"})
	register(t, s, "a")
	stop := run(t, s)
	newMeter(t, s, "a").send(100)
	stop()

	s = exporting(t, Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"})
	defer s.Close()
	r := exportReader{tail: s.export}
	defer r.close()
	var b exportBatch
	whole, ok := s.export.oldestBacklog()
	if err := r.fill(&b, whole); !ok || err != nil || b.lines.Lines() != 100 {
		t.Fatalf("%d lines, %v", b.lines.Lines(), err)
	}
	const dropped = 40
	s.export.drop(whole.first + dropped)
	if s.export.fly(b.span) {
		t.Error("a batch flies although a part of it was dropped")
	}
	rest, _ := s.export.oldestBacklog()
	if n := s.Status().Export.Dropped; n != dropped || rest != (span{whole.first + dropped, whole.next}) {
		t.Errorf("%d dropped, %v is left of %v", n, rest, whole)
	}
	if err := r.fill(&b, rest); err != nil || !s.export.fly(b.span) {
		t.Errorf("the rest does not fly: %v", err)
	}
	s.export.drop(whole.next)
	if n := s.Status().Export.Dropped; n != dropped {
		t.Errorf("%d dropped with those on their way", n)
	}
	s.export.landed(b.span)
	if rest, ok := s.export.oldestBacklog(); ok {
		t.Errorf("%v is left", rest)
	}
}

// TestWhatWaitsIsKept opens the store without an export, as a command does: the journal must keep what waits.
func TestWhatWaitsIsKept(t *testing.T) {
	db := influxtest.Prepare(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := run(t, s)
	w := newWriter(t, s, 1)
	w.send(299)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	w.send(1) // begins a segment
	stop()

	trimmed := func(forget bool) uint64 {
		s := open(t, Options{Dir: dir})
		stop := run(t, s)
		defer stop()
		if forget {
			if err := s.ForgetExport(); err != nil {
				t.Error(err)
			}
		}
		if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
			t.Fatal(err)
		}
		if err := s.history.Load().Flush(true); err != nil {
			t.Fatal(err)
		}
		s.trim()
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
	stop = run(t, s)
	drain(t, s)
	if err := s.history.Load().Flush(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hub.db to know it", func() bool {
		s.noteExported()
		return s.export.floor() >= s.journal.Segments()[0].Next
	})
	stop()
	if series := db.Exec(`SELECT count(text) FROM meter`); number(series[0].Values[0][1]) != 300 {
		t.Errorf("arrived: %v", series)
	}
	if first := trimmed(true); first == 1 {
		t.Error("the journal keeps what nobody waits for")
	}
}

func TestHorizon(t *testing.T) {
	s := exporting(t, Options{JournalMaxBytes: 1 << 30}, influx.Config{URL: "http://127.0.0.1:1"})
	defer s.Close()
	now := time.Now()
	for _, test := range []struct {
		waiting Waiting
		rate    float64
		age     time.Duration
		want    time.Duration // from now; 0: never
	}{
		{Waiting{}, 0, 0, 0},
		{Waiting{}, 1 << 20, 0, 1024 * time.Second},
		{Waiting{Bytes: 1 << 29}, 1 << 20, 0, 512 * time.Second},
		{Waiting{Bytes: 2 << 30}, 1, 0, time.Nanosecond}, // now
		{Waiting{}, 1e-9, 0, 0},
		{Waiting{Oldest: now.Add(-time.Minute)}, 1 << 20, 10 * time.Minute, 9 * time.Minute},
		{Waiting{}, 0, 10 * time.Minute, 10 * time.Minute},
	} {
		s.opts.JournalMaxAge = test.age
		at := s.export.horizon(now, test.waiting, test.rate)
		if test.want == 0 != at.IsZero() || !at.IsZero() && at.Sub(now).Round(time.Second) != test.want.Round(time.Second) {
			t.Errorf("%+v at %v bytes/s: %v from now, want %v", test.waiting, test.rate, at.Sub(now), test.want)
		}
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
	stop := run(t, s)
	defer func() { stop() }()
	w := newWriter(t, s, 1)
	const framesPerStep = 10
	step := func() *ExportStatus {
		w.send(framesPerStep)
		settle(t, s)
		elapsed.Add(int64(retainEvery))
		s.trim()
		s.export.sample()
		return s.Status().Export
	}
	for range 23 {
		step()
	}
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	e := step()
	predicted, segment := e.Horizon, time.Duration(testSegment/device.MaxString/framesPerStep)*retainEvery
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
