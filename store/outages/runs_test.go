package outages

import (
	"testing"
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
