package outages

import (
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// TestStartDuringCheckpoint: the hub starts while a checkpoint is being written that does not know of it.
func TestStartDuringCheckpoint(t *testing.T) {
	dir := t.TempDir()
	l := reopen(t, dir, nil, atNoon)
	snapshot := l.Snapshot()
	l.HubStarted()
	if err := l.db.Update(snapshot.Put); err != nil {
		t.Fatal(err)
	}
	if l = reopen(t, dir, l, atNoon); len(l.runs) != 1 {
		t.Errorf("hub.db knows of %d runs of the hub", len(l.runs))
	}
}

// TestFailedCheckpoint: what a checkpoint could not write is in the next one.
func TestFailedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	l := reopen(t, dir, nil, atNoon)
	l.HubStarted()
	l.DeviceConnected("a")
	l.DeviceConnected("b")
	if err := l.db.Update(l.Snapshot().Put); err != nil {
		t.Fatal(err)
	}
	l.DeviceDisconnected("a")
	l.Forget("b")
	l.Snapshot().Failed()
	if err := l.db.Update(l.Snapshot().Put); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, dir, l, atNoon)
	if len(l.devices) != 1 || l.devices["a"] == nil || l.devices["a"].connections[0].to == 0 {
		t.Errorf("hub.db has %+v", l.devices)
	}
}

// TestConnectedAsTheClockIsSet: what begins between the moment at which the clock is set and that at which everything follows it has
// the right time, too.
func TestConnectedAsTheClockIsSet(t *testing.T) {
	wall, elapsed := noon, time.Hour
	clock := wallclock.New(wallclock.Source{
		Wall: func() time.Time { return wall }, Elapsed: func() time.Duration { return elapsed }, Machine: 1,
	})
	pass := func(d time.Duration) { wall, elapsed = wall.Add(d), elapsed+d }
	l := openBy(t, t.TempDir(), nil, clock)
	l.HubStarted()
	pass(time.Minute)
	l.DeviceConnected("early")
	wall = wall.AddDate(10, 0, 0)
	clock.Now() // notices it
	l.DeviceConnected("late")
	l.FollowClock(clock.Base())
	pass(2 * time.Minute)
	for _, id := range []string{"early", "late"} {
		if got, want := l.devices[id].connections[0].from, l.runs[0].Started+time.Minute.Milliseconds(); got != want {
			t.Errorf("%s: connected %v after the start", id, time.Duration(got-l.runs[0].Started)*time.Millisecond)
		}
	}
	l.DeviceDisconnected("late")
	if c := l.devices["late"].connections[0]; c.to-c.from != 2*time.Minute.Milliseconds() {
		t.Errorf("connected for %v", time.Duration(c.to-c.from)*time.Millisecond)
	}
	if r := l.runs[0]; r.Started != wall.Add(-3*time.Minute).UnixMilli() {
		t.Errorf("started at %v, it is %v", time.UnixMilli(r.Started).UTC(), wall)
	}
}
