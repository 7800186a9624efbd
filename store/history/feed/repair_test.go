package feed

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var (
	testSchema  = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "n", Type: device.Int}}}
	testMessage = device.AppendControl(nil, testSchema)
)

// fed returns a feed whose history has read and written so many frames.
func fed(t *testing.T, frames int) *Feed {
	t.Helper()
	dir, log, clock := t.TempDir(), slog.New(slog.DiscardHandler), wallclock.System()
	raised := alarms.New(clock, log)
	db, _, err := hubdb.Open(dir, clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	gaps, err := outages.Open(db, clock, raised, log)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(Options{
		History: history.Options{Path: filepath.Join(dir, "history.db"), Logger: log}, Alarms: raised, Outages: gaps,
		Schema: func(device.Hash) []byte { return testMessage }, FirstCreated: func() time.Time { return time.Time{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	j, _, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	sources := &tail.Sources{}
	source, _ := sources.Define(tail.Source{Device: "a", Stream: 1, Hash: device.HashSchema(testMessage), Message: testMessage, Schema: testSchema}, 1)
	tails := tail.NewLog(j, sources)
	var entries []byte
	for i := range frames {
		d := &device.Data{Seq: uint64(i) + 1, Times: []int64{int64(i)}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{uint64(i)}}}}
		message, err := device.AppendData(nil, d, testSchema)
		if err != nil {
			t.Fatal(err)
		}
		entries = journal.AppendEntry(entries, tail.AppendFrame(nil, source.Number, tail.Timing{}, message))
	}
	if _, err := j.Commit(entries, frames, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.Begin(tails)
	ctx, stop := context.WithCancel(t.Context())
	stop() // it reads what is there, and ends
	f.Run(ctx)
	if err := f.Current().Flush(true); err != nil || f.Current().Cursor() != uint64(frames)+1 {
		t.Fatalf("the history is at %d: %v", f.Current().Cursor(), err)
	}
	return f
}

// TestRepairIsTriedAgain: damaged blocks that could not be restored, for a full disk, are so later.
func TestRepairIsTriedAgain(t *testing.T) {
	f := fed(t, 40)
	defer func() { f.Close() }()
	reopen := func(meanwhile func()) {
		t.Helper()
		err := f.Close()
		meanwhile()
		if err := errors.Join(err, f.open()); err != nil {
			t.Fatal(err)
		}
	}
	reopen(func() { storetest.DamageBlocks(t, f.Options.History.Path) })
	damaged := len(f.Current().Damage())
	reopen(f.repair) // can't be written
	f.repair()
	if n := len(f.Current().Damage()); damaged == 0 || n != damaged {
		t.Fatalf("%d damaged blocks, and tried again at once: %d", damaged, n)
	}
	f.again = time.Now()
	f.repair()
	if n := len(f.Current().Damage()); n != 0 || !f.again.IsZero() {
		t.Errorf("%d blocks are damaged still", n)
	}
}

// Who waits for what is not going to be read is told so.
func TestReach(t *testing.T) {
	f := fed(t, 3)
	defer f.Close()
	if err := f.Reach(t.Context(), 4); err != nil {
		t.Error(err)
	}
	if err := f.Reach(t.Context(), 5); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}
