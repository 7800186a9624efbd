package export

import (
	"log/slog"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// TestDroppedWhileFilled gives positions up while a batch is made of them: what a gap calls dropped is not sent.
func TestDroppedWhileFilled(t *testing.T) {
	j, _, err := journal.Open(journal.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	e := exportOf(t, j, 100)
	r := reader{export: e}
	defer r.close()
	var b batch
	whole, ok := e.oldestBacklog()
	if err := r.fill(&b, whole); !ok || err != nil || b.lines.Lines() != 100 {
		t.Fatalf("%d lines, %v", b.lines.Lines(), err)
	}
	const dropped = 40
	e.Drop(whole.first + dropped)
	if e.claim(b.span) {
		t.Error("a batch goes out although a part of it was dropped")
	}
	rest, _ := e.oldestBacklog()
	if n := e.Status().Dropped; n != dropped || rest != (span{whole.first + dropped, whole.next}) {
		t.Errorf("%d dropped, %v is left of %v", n, rest, whole)
	}
	if err := r.fill(&b, rest); err != nil || !e.claim(b.span) {
		t.Errorf("the rest does not go out: %v", err)
	}
	e.Drop(whole.next)
	if n := e.Status().Dropped; n != dropped {
		t.Errorf("%d dropped with those on their way", n)
	}
	e.finish(b.span)
	if rest, ok := e.oldestBacklog(); ok {
		t.Errorf("%v is left", rest)
	}
}

var numberSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}

// exportOf returns an export of a journal that has frames of one device.
func exportOf(t *testing.T, j *journal.Journal, frames uint64) *Export {
	t.Helper()
	dir, clock, log := t.TempDir(), wallclock.System(), slog.New(slog.DiscardHandler)
	list := alarms.New(clock, log)
	db, _, err := hubdb.Open(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	registry, err := devices.Open(dir, db, clock, list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Add([]devices.NewDevice{{ID: "a", Kind: "meter"}}); err != nil {
		t.Fatal(err)
	}
	gaps, err := outages.Open(db, clock, list, log)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(&Options{Config: influx.Config{URL: "http://127.0.0.1:1", Bucket: "b"}}, clock, list, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.writer.Close)
	var sources tail.Sources
	source, err := tail.NewSource(1, "a", 1, device.AppendControl(nil, numberSchema))
	if err != nil {
		t.Fatal(err)
	}
	sources.Restore(source, 1, false)
	var entries []byte
	for seq := range frames {
		d := &device.Data{Seq: seq + 1, Times: []int64{int64(seq)}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{seq}}}}
		message, err := device.AppendData(nil, d, numberSchema)
		if err != nil {
			t.Fatal(err)
		}
		entries = journal.AppendEntry(entries, tail.AppendFrame(nil, source.Number, tail.Timing{}, message))
	}
	if _, err := j.Commit(entries, int(frames), time.Now()); err != nil {
		t.Fatal(err)
	}
	e.Begin(Deps{Journal: j, Tails: tail.NewLog(j, &sources), Devices: registry, Outages: gaps, MaxBytes: 1 << 30})
	return e
}
