package audit

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open returns the trail in a directory, and what closes its file.
func open(t *testing.T, dir string) (trail *Trail, closeIt func()) {
	t.Helper()
	db, _, err := hubdb.Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	clock := wallclock.Steady(func() time.Time { return now })
	if trail, err = Open(db, clock, alarms.New(clock, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	return trail, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBound(t *testing.T) {
	dir := t.TempDir()
	trail, stop := open(t, dir)
	entered := uint64(0)
	for i := range (maxEntries + 2*dropStep) / 1000 {
		entries := make([]Entry, 1000)
		for j := range entries {
			entries[j] = Entry{By: "ada", Action: "test", Text: fmt.Sprint(i, j)}
		}
		if err := trail.Enter(entries...); err != nil {
			t.Fatal(err)
		}
		entered += 1000
	}
	for range 2 {
		count := 0
		err := trail.db.View(func(tx *bbolt.Tx) error {
			count = tx.Bucket(hubdb.BucketAudit).Stats().KeyN
			return nil
		})
		if err != nil || count < maxEntries || count >= maxEntries+dropStep {
			t.Errorf("%d entries: %v", count, err)
		}
		first := entered - uint64(count) + 1
		list, err := trail.Entries(Filter{Before: first + 2})
		if err != nil || len(list) != 2 || list[1].Number != first {
			t.Errorf("the oldest: %+v, %v", list, err)
		}
		stop()
		trail, stop = open(t, dir)
	}
	defer stop()
	if err := trail.Enter(Entry{By: "eve\x1b[2J", Action: "user added", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	list, err := trail.Entries(Filter{After: entered})
	if err != nil || len(list) != 1 || list[0].Number != entered+1 || list[0].By != "eve?[2J" || !list[0].At.Equal(now) {
		t.Errorf("%+v, %v", list, err)
	}
}

// What can't be recorded is an alarm.
func TestAlarm(t *testing.T) {
	trail, stop := open(t, t.TempDir())
	stop()
	if err := trail.Enter(Entry{By: "ada", Action: "user added"}); err == nil || len(trail.alarms.All()) != 1 {
		t.Errorf("%v, alarms %v", err, trail.alarms.All())
	}
}
