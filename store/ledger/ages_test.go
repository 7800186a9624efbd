package ledger_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock/clocktest"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// aged is a store with limits of age whose machine's clock is set.
type aged struct {
	*store.Store
	t       *testing.T
	machine *clocktest.Machine
	dir     string
	stop    func()
	streams uint64
}

func newAged(t *testing.T, wall time.Time) *aged {
	a := &aged{t: t, machine: clocktest.NewMachine(wall), dir: t.TempDir()}
	a.start()
	t.Cleanup(func() { a.stop() })
	return a
}

func (a *aged) start() {
	a.Store = open(a.t, store.Options{Dir: a.dir, Clock: a.machine.Clock(), JournalMaxAge: 30 * day, HistoryMaxAge: 30 * day})
	a.stop = storetest.Run(a.t, a.Store)
}

func (a *aged) restart(meanwhile func()) {
	a.t.Helper()
	a.stop()
	meanwhile()
	a.start()
}

// send stores frames that fill more than a segment.
func (a *aged) send() {
	a.t.Helper()
	a.streams++
	w := storetest.NewWriter(a.t, a.Ledger, a.streams)
	w.Send(70)
	settle(a.t, a.Store)
	if err := a.Ledger.FlushHistory(); err != nil {
		a.t.Fatal(err)
	}
}

// holds checks how many readings are left once the limits have been seen to.
func (a *aged) holds(when string, want int) {
	a.t.Helper()
	a.Clock().Now() // as any frame does
	// What comes later is received later: not in the batch that says that the clock was set.
	eventually(a.t, "the journal knows the clock", func() bool {
		a.Ledger.FollowClock()
		return a.Ledger.Follows()
	})
	settle(a.t, a.Store)
	if err := a.Ledger.FlushHistory(); err != nil {
		a.t.Fatal(err)
	}
	a.Ledger.Trim()
	n := 0
	for _, err := range a.Readings(a.t.Context(), history.Query{Device: "a"}) {
		if err != nil {
			a.t.Fatal(err)
		}
		n++
	}
	if n != want {
		a.t.Errorf("%s: %d readings, want %d", when, n, want)
	}
}

// alarmed checks whether there is an alarm under a key, and returns its text.
func (a *aged) alarmed(when, key string, want bool) string {
	a.t.Helper()
	a.Ledger.FollowClock()
	for _, alarm := range a.Alarms.All() {
		if alarm.Key == key {
			if !want {
				a.t.Errorf("%s: alarm %s", when, alarm.Text)
			}
			return alarm.Text
		}
	}
	if want {
		a.t.Errorf("%s: no alarm %q among %+v", when, key, a.Alarms.All())
	}
	return ""
}

// TestAgeSurvivesTheClock sets the clock in every way between two times that readings come. Nothing is deleted for it, and what is
// 30 days old goes all the same, whatever its times of receipt say.
func TestAgeSurvivesTheClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		begin time.Time
		set   func(a *aged)
	}{
		"from 1970, running":         {time.Unix(100, 0), func(a *aged) { a.machine.Set(56 * year) }},
		"from 1970, stopped":         {time.Unix(100, 0), func(a *aged) { a.restart(func() { a.machine.Set(56 * year) }) }},
		"from 1970, booted":          {time.Unix(100, 0), func(a *aged) { a.restart(func() { a.machine.Reboot(56 * year) }) }},
		"ten years forward, running": {at, func(a *aged) { a.machine.Set(10 * year) }},
		"ten years forward, stopped": {at, func(a *aged) { a.restart(func() { a.machine.Set(10 * year) }) }},
		"ten years forward, booted":  {at, func(a *aged) { a.restart(func() { a.machine.Reboot(10 * year) }) }},
		"ten years back, running":    {at, func(a *aged) { a.machine.Set(-10 * year / 4) }},
		"ten years back, stopped":    {at, func(a *aged) { a.restart(func() { a.machine.Set(-10 * year / 4) }) }},
		"ten years back, booted":     {at, func(a *aged) { a.restart(func() { a.machine.Reboot(-10 * year / 4) }) }},
		"there and back": {at, func(a *aged) {
			a.machine.Set(10 * year)
			a.send()
			a.restart(func() { a.machine.Set(-10 * year) })
			a.streams-- // counted below
		}},
		"to 1970 at every boot": {at, func(a *aged) {
			a.restart(func() { a.machine.Reboot(-56 * year) })
			a.machine.Set(56 * year)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAged(t, c.begin)
			a.send()
			c.set(a)
			stored := 70 * int(a.streams)
			if name == "there and back" {
				stored += 70
				a.streams++
			}
			a.holds("after it was set", stored)
			a.machine.Pass(time.Hour)
			a.send()
			a.holds("an hour later", stored+70)
			a.restart(func() {})
			a.holds("after a restart", stored+70)
			a.machine.Pass(30*day - time.Minute)
			a.holds("30 days later", 70)
			a.machine.Pass(day)
			a.holds("31 days later", 0)
		})
	}
}

// TestAgeOfALongAbsence has a machine come back 15 days after the last readings, if its clock is right: nobody knows. What would have to be deleted
// at once is held back, with an alarm, until the hub itself has seen it grow old.
func TestAgeOfALongAbsence(t *testing.T) {
	a := newAged(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for range 30 {
		a.send()
		a.machine.Pass(day)
	}
	a.holds("before", 30*70)
	a.alarmed("before", "age limits", false)
	a.restart(func() { a.machine.Reboot(14 * day) })
	a.holds("after two weeks", 30*70)
	text := a.alarmed("after two weeks", "age limits", true)
	if !strings.Contains(text, "15 days") || !strings.Contains(text, "2026-05-14") || !strings.Contains(text, "max_bytes") {
		t.Errorf("alarm %s", text)
	}
	a.machine.Pass(day + time.Hour)
	a.restart(func() {})
	a.holds("the next day", 30*70-70)
	a.alarmed("the next day", "age limits", true)
	a.machine.Pass(30 * day)
	a.send()
	a.holds("a month later", 70)
	a.alarmed("a month later", "age limits", false)
}

// TestAgeOfANight has a machine that is off every night: nothing is held back, as nothing came in the same night a month ago.
func TestAgeOfANight(t *testing.T) {
	a := newAged(t, time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC))
	for range 40 {
		a.send()
		a.machine.Pass(12 * time.Hour)
		a.holds("in the evening", 70*min(int(a.streams), 30))
		a.restart(func() { a.machine.Reboot(12 * time.Hour) })
		a.alarmed("in the morning", "age limits", false)
	}
}

// TestAgeSurvivesABadRecord: to make again what a damaged record of hub.db held, the journal is read from its beginning. What it says of
// the clock counts once then, and is not forgotten if it was that record.
func TestAgeSurvivesABadRecord(t *testing.T) {
	for name, record := range map[string]struct{ bucket, key []byte }{
		"account": {hubdb.BucketBooks, []byte("a")}, "cursor": {hubdb.BucketMeta, hubdb.KeyCursor}, "clock": {hubdb.BucketMeta, hubdb.KeyClock},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAged(t, time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC))
			if _, err := a.Devices.Add([]devices.NewDevice{{ID: "a"}}); err != nil {
				t.Fatal(err)
			}
			a.send()
			a.machine.Set(-20 * day)
			a.holds("set", 70)
			a.send()
			settle(t, a.Store)
			a.restart(func() {
				file, err := bbolt.Open(filepath.Join(a.dir, "hub.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
				if err != nil {
					t.Fatal(err)
				}
				err = file.Update(func(tx *bbolt.Tx) error { return tx.Bucket(record.bucket).Put(record.key, []byte("damaged")) })
				if err := errors.Join(err, file.Close()); err != nil {
					t.Fatal(err)
				}
			})
			a.alarmed("restarted", "hub.db records", true)
			oldest := a.Status().Journal.Oldest
			if got, want := a.Ledger.ReceivedAt(1, oldest), oldest.Add(-20*day); !got.Equal(want) {
				t.Errorf("received at %v, want %v", got, want)
			}
			a.machine.Pass(15 * day)
			a.holds("15 days later", 140)
			a.machine.Pass(16 * day)
			a.holds("31 days later", 0)
		})
	}
}
