package commands

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Many at once are written together, and each call returns what became of its own.
func TestChangesShareTransactions(t *testing.T) {
	r := newRig(t, "a", "b")
	var seen []Command
	stop := r.Watch(func(c Command) { seen = append(seen, c) })
	defer stop()
	var wg sync.WaitGroup
	ids := make([]device.CommandID, 200)
	for i := range ids {
		ids[i] = device.NewCommandID()
		wg.Go(func() {
			c, err := r.Send(New{ID: ids[i], Device: []string{"a", "b"}[i%2], Name: "blink"})
			if err != nil || c.ID != ids[i] {
				t.Errorf("%v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if len(seen) != len(ids) {
		t.Errorf("watchers saw %d", len(seen))
	}
	for i, c := range seen {
		if c.Number != uint64(i+1) {
			t.Errorf("watchers saw %d as the %dth", c.Number, i+1)
		}
	}
	stop()
	r.send(New{Device: "a", Name: "blink"})
	if len(seen) != len(ids) {
		t.Error("called after stop")
	}
}

// If hub.db cannot be written, nothing has happened.
func TestFailedWriteChangesNothing(t *testing.T) {
	r := newRig(t, "a")
	queued := r.send(New{Device: "a", Name: "blink"})
	before := r.devices["a"].clone()
	r.Watch(func(c Command) { t.Errorf("watchers saw %+v", c) })
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	broken := bbolterrors.ErrDatabaseNotOpen
	if _, err := r.Send(New{Device: "a", Name: "reboot"}); !errors.Is(err, broken) {
		t.Errorf("send: %v", err)
	}
	if _, err := r.Cancel(queued.ID, "ada", ""); !errors.Is(err, broken) {
		t.Errorf("cancel: %v", err)
	}
	d := r.Delivery("a", 1)
	if send, _, err := d.Exchange(nil); !errors.Is(err, broken) || send != nil {
		t.Errorf("exchange: %v, %v", send, err)
	}
	if diff := cmp.Diff(before, r.devices["a"], cmp.AllowUnexported(queues{}, Command{})); diff != "" {
		t.Error(diff)
	}
	if alarms := r.alarms.All(); len(alarms) != 1 {
		t.Errorf("%+v", alarms)
	}
}

// hub.db does not keep what was never there.
func TestNothingIsWrittenForNothing(t *testing.T) {
	r := newRig(t, "a")
	size := func() int64 {
		info, err := os.Stat(filepath.Join(r.dir, "hub.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().UnixNano()
	}
	r.exchange(r.Delivery("a", 1)) // announces the schema
	before := size()
	r.exchange(r.Delivery("a", 1))
	r.exchange(r.Delivery("a", 1), &device.Result{ID: device.NewCommandID()})
	r.expire()
	if size() != before {
		t.Error("hub.db was written")
	}
}
