package devices

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a registry in a directory.
type rig struct {
	*Registry
	dir string
}

// start opens the registry in a directory, "" for a new one, as a hub does when it starts. The test's end, if not stop, closes it.
func start(t testing.TB, dir string, now func() time.Time) *rig {
	t.Helper()
	return startWith(t, dir, wallclock.Steady(now))
}

func startWith(t testing.TB, dir string, clock *wallclock.Clock) *rig {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	db, _, err := hubdb.Open(dir, clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	registry, err := Open(dir, db, clock, alarms.New(clock, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{registry, dir}
	r.Restore(nil)
	return r
}

// checkpoint writes what a checkpoint does.
func (r *rig) checkpoint() error {
	notes := r.TakeNotes()
	err := r.db.Update(notes.Put)
	notes.Done(err)
	return err
}

// stop closes the file behind a last checkpoint.
func (r *rig) stop(t testing.TB) {
	t.Helper()
	if err := errors.Join(r.checkpoint(), r.db.Close()); err != nil {
		t.Fatal(err)
	}
}
