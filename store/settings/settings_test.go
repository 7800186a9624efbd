package settings

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

func TestDesiredValueReachesTheDevice(t *testing.T) {
	r := newRig(t)
	if s := r.desire("setpoint", 21.5); s.Status != Pending {
		t.Errorf("%+v", s)
	}
	r.restart()
	d := r.book.Delivery("a", 1)
	sent := r.exchange(d)
	if len(sent) != 1 || sent[0].Name != device.CommandSet || sent[0].Args["setpoint"] != 21.5 || sent[0].By != "ada" || sent[0].From != "desired value" {
		t.Fatalf("%+v", sent)
	}
	r.exchange(d, &device.Result{ID: sent[0].ID})
	r.wantSetting("setpoint", Pending, "") // not before it is seen
	r.pass(time.Second)
	r.report("setpoint", tenths(215))
	s := r.wantSetting("setpoint", InSync, "")
	if s.Reported != 21.5 || !s.Since.Equal(r.now()) || s.By != "ada" {
		t.Errorf("%+v", s)
	}
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent though it is in sync: %+v", sent)
	}
	// Somebody turns the knob: the hub turns it back.
	r.pass(time.Second)
	if !r.report("setpoint", tenths(180)) {
		t.Error("nothing is due")
	}
	r.wantSetting("setpoint", Pending, "the device has changed it")
	r.restart()
	r.wantSetting("setpoint", Pending, "the device has changed it")
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 1 || sent[0].Args["setpoint"] != 21.5 {
		t.Errorf("%+v", sent)
	}
}

func TestNewestDesiredValueCounts(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 20.0)
	d := r.book.Delivery("a", 1)
	first := r.exchange(d)
	r.desire("setpoint", 22.0)
	second := r.exchange(d)
	if len(first) != 1 || len(second) != 1 || second[0].Args["setpoint"] != 22.0 {
		t.Fatalf("%+v, then %+v", first, second)
	}
	// The answer to the older one is not about what is desired now.
	r.exchange(d, &device.Result{ID: first[0].ID, Status: device.ResultRejected, Text: "not 20"})
	r.wantSetting("setpoint", Pending, "")
	r.exchange(d, &device.Result{ID: second[0].ID, Status: device.ResultRejected, Text: "not 22"})
	r.wantSetting("setpoint", Refused, "not 22")
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent though it was refused: %+v", sent)
	}
	r.desire("setpoint", 22.0)
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 1 {
		t.Error("not sent though it was desired anew")
	}
}

// A device that says yes and does something else is not flooded.
func TestDesiredValueWithoutEffectIsSentMoreAndMoreSeldom(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 35.0)
	d := r.book.Delivery("a", 1)
	start, sent := r.now(), 0
	for r.now().Sub(start) < time.Hour {
		send, again, err := d.Exchange(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range send {
			sent++
			r.exchange(d, &device.Result{ID: c.ID})
			r.report("setpoint", tenths(300+int64(sent%2)))
		}
		if again.IsZero() {
			t.Fatal("never again")
		}
		r.pass(max(again.Sub(r.now()), time.Second))
	}
	if sent < 8 || sent > 14 {
		t.Errorf("sent %d times in an hour", sent)
	}
	r.wantSetting("setpoint", Pending, "")
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 1 {
		t.Error("nothing is sent at once on a new connection")
	}
}

func TestDesiredValuesThatAreRefused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		channel    string
		value      any
		text, hint string
	}{
		{"temperature", 20.0, "no writable channel", "it has setpoint, mode, level, gain"},
		{"setpoint", 20.05, "cannot be 20.05", "steps of 0.1"},
		{"setpoint", 1e300, "cannot be", ""},
		{"setpoint", "warm", "must be a number", ""},
		{"level", 1.5, "must be a whole number", ""},
		{"mode", true, "must be a text", ""},
		{"mode", strings.Repeat("x", 2000), "at most 1024", ""},
	} {
		_, err := r.Set("a", c.channel, c.value, "ada", "")
		e, ok := errors.AsType[*commands.Error](err)
		if !ok || !strings.Contains(e.Text, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s = %v: %#v", c.channel, c.value, err)
		}
	}
	if _, err := r.Set("nobody", "setpoint", 20.0, "ada", ""); !errors.Is(err, errNoDevice) {
		t.Error(err)
	}
}

func TestClearedSettingIsNotSent(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 20.0)
	r.desire("level", 3.0)
	if err := r.Clear("a", "setpoint", "ada", ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Clear("a", "setpoint", "ada", ""); !errors.Is(err, commands.ErrNone) {
		t.Error(err)
	}
	r.restart()
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 1 || sent[0].Args["level"] != int64(3) {
		t.Errorf("%+v", sent)
	}
	trail, err := r.trail.Entries(audit.Filter{Device: "a"})
	if err != nil || trail[len(trail)-1].Action != "setting pending" || trail[len(trail)-1].Text != "setpoint desired 20" || trail[len(trail)-1].From != "10.0.0.1" {
		t.Errorf("%+v, %v", trail, err)
	}
}

// A device that is removed is to be set to nothing.
func TestRemovedDevice(t *testing.T) {
	r := newRig(t)
	var last Setting
	defer r.Watch(func(s Setting) { last = s })()
	r.desire("setpoint", 21.0)
	if err := r.book.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if last.Status != Cleared || last.By != "hub" {
		t.Errorf("watchers saw %+v", last)
	}
	for range 2 {
		if list := r.List("a"); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		r.restart()
	}
}

// If hub.db cannot be written, nothing has happened.
func TestFailedWriteChangesNothing(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 21.0)
	before := r.List("a")
	r.Watch(func(s Setting) { t.Errorf("watchers saw %+v", s) })
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Set("a", "setpoint", 22.0, "ada", ""); err == nil {
		t.Error("set")
	}
	if err := r.Clear("a", "setpoint", "ada", ""); err == nil {
		t.Error("cleared")
	}
	if after := r.List("a"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("%+v, before %+v", after, before)
	}
	if len(r.draft) != 0 || len(r.events) != 0 || len(r.changed) != 0 {
		t.Errorf("left are %v, %v, %v", r.draft, r.events, r.changed)
	}
}

// Whoever only looks does not wait for the disk.
func TestLookingDoesNotWait(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 21.0)
	err := r.book.Do(func(*commands.Change) error { // others wait behind this one
		if list := r.List("a"); len(list) != 1 {
			t.Errorf("%+v", list)
		}
		r.report("level", device.Value{Type: device.Int, Bits: 7}) // nothing is desired of it
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A device is removed when it has just been looked up for a desired value.
func TestRemovedMeanwhile(t *testing.T) {
	r := newRig(t)
	removed := make(chan error, 1)
	r.lookedUp = func() {
		r.lookedUp, r.removed = nil, true
		done := make(chan struct{})
		go func() { defer close(done); removed <- r.book.Remove("a") }()
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond): // it waits for the change that is being made
		}
	}
	_, _ = r.Set("a", "setpoint", 21.0, "ada", "")
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if list := r.List("a"); len(list) != 0 {
		t.Errorf("still desired: %+v", list)
	}
}
