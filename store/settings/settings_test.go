package settings

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

func (r *commandRig) desire(channel string, value any) Setting {
	r.t.Helper()
	s, err := r.SetDesired("a", channel, value, "ada", "10.0.0.1")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// report is what device a says that a channel has.
func (r *commandRig) report(channel string, v device.Value) (due bool) {
	r.t.Helper()
	due, err := r.Report("a", []Reported{{Channel: channel, Value: v, Time: r.now()}})
	if err != nil {
		r.t.Fatal(err)
	}
	return due
}

func (r *commandRig) wantSetting(channel string, status SettingStatus, reason string) Setting {
	r.t.Helper()
	for _, s := range r.Desired("a") {
		if s.Channel == channel {
			if s.Status != status || !strings.Contains(s.Reason, reason) {
				r.t.Errorf("%s: %s %q, want %s %q", channel, s.Status, s.Reason, status, reason)
			}
			return s
		}
	}
	r.t.Errorf("%s has no desired value", channel)
	return Setting{}
}

func tenths(n int64) device.Value { return device.Value{Type: device.Int, Scale: -1, Bits: uint64(n)} }

func TestDesiredValueReachesTheDevice(t *testing.T) {
	r := newCommandRig(t, "a")
	if s := r.desire("setpoint", 21.5); s.Status != SettingPending {
		t.Errorf("%+v", s)
	}
	r.restart("a")
	d := r.Delivery("a", 1)
	sent := r.exchange(d)
	if len(sent) != 1 || sent[0].Name != device.CommandSet || sent[0].Args["setpoint"] != 21.5 || sent[0].By != "ada" || sent[0].From != "desired value" {
		t.Fatalf("%+v", sent)
	}
	r.exchange(d, &device.Result{ID: sent[0].ID})
	r.wantSetting("setpoint", SettingPending, "") // not before it is seen
	r.pass(time.Second)
	r.report("setpoint", tenths(215))
	s := r.wantSetting("setpoint", SettingInSync, "")
	if s.Reported != 21.5 || !s.Since.Equal(r.now()) || s.By != "ada" {
		t.Errorf("%+v", s)
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent though it is in sync: %+v", sent)
	}
	// Somebody turns the knob: the hub turns it back.
	r.pass(time.Second)
	if !r.report("setpoint", tenths(180)) {
		t.Error("nothing is due")
	}
	r.wantSetting("setpoint", SettingPending, "the device has changed it")
	r.restart("a")
	r.wantSetting("setpoint", SettingPending, "the device has changed it")
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 || sent[0].Args["setpoint"] != 21.5 {
		t.Errorf("%+v", sent)
	}
}

func TestNewestDesiredValueCounts(t *testing.T) {
	r := newCommandRig(t, "a")
	r.desire("setpoint", 20.0)
	d := r.Delivery("a", 1)
	first := r.exchange(d)
	r.desire("setpoint", 22.0)
	second := r.exchange(d)
	if len(first) != 1 || len(second) != 1 || second[0].Args["setpoint"] != 22.0 {
		t.Fatalf("%+v, then %+v", first, second)
	}
	// The answer to the older one is not about what is desired now.
	r.exchange(d, &device.Result{ID: first[0].ID, Status: device.ResultRejected, Text: "not 20"})
	r.wantSetting("setpoint", SettingPending, "")
	r.exchange(d, &device.Result{ID: second[0].ID, Status: device.ResultRejected, Text: "not 22"})
	r.wantSetting("setpoint", SettingRefused, "not 22")
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent though it was refused: %+v", sent)
	}
	r.desire("setpoint", 22.0)
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 {
		t.Error("not sent though it was desired anew")
	}
}

// A device that says yes and does something else is not flooded.
func TestDesiredValueWithoutEffectIsSentMoreAndMoreSeldom(t *testing.T) {
	r := newCommandRig(t, "a")
	r.desire("setpoint", 35.0)
	d := r.Delivery("a", 1)
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
	r.wantSetting("setpoint", SettingPending, "")
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 {
		t.Error("a new connection is not told at once")
	}
}

// A device that has the value already is not told to set it: it would do so, report what the hub knows, and be told again.
func TestDesiredValueThatTheDeviceHasAlready(t *testing.T) {
	r := newCommandRig(t, "a")
	r.report("setpoint", tenths(215))
	r.report("mode", device.Value{Type: device.String, Text: "eco"})
	r.report("level", device.Value{Type: device.Int, Bits: 7})
	r.report("gain", device.Value{Type: device.Float32, Bits: math.Float64bits(float64(float32(0.1)))})
	for channel, value := range map[string]any{"setpoint": 21.5, "mode": "eco", "level": int64(7), "gain": 0.1} {
		if s := r.desire(channel, value); s.Status != SettingInSync || s.Reported == nil || !s.ReportedAt.Equal(r.now()) {
			t.Errorf("%+v", s)
		}
		if err := r.ClearDesired("a", channel, "ada", ""); err != nil {
			t.Error(err)
		}
		if s := r.desire(channel, value); s.Status != SettingInSync { // it is still known
			t.Errorf("%+v", s)
		}
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	if s := r.desire("level", int64(8)); s.Status != SettingPending || s.Reported != int64(7) {
		t.Errorf("%+v", s)
	}
	if err := r.forgetCommands("a"); err != nil {
		t.Fatal(err)
	}
	if s := r.desire("level", int64(7)); s.Status != SettingPending || s.Reported != nil {
		t.Errorf("of a device that was removed: %+v", s)
	}
}

// A reading a little ahead of the hub's clock hides none of those that follow.
func TestReportsAheadOfTheClock(t *testing.T) {
	r := newCommandRig(t, "a")
	r.desire("setpoint", 20.0)
	if _, err := r.Report("a", []Reported{{Channel: "setpoint", Value: tenths(200), Time: r.now().Add(futureTolerance)}}); err != nil {
		t.Fatal(err)
	}
	if s := r.wantSetting("setpoint", SettingInSync, ""); !s.ReportedAt.Equal(r.now()) {
		t.Errorf("%+v", s)
	}
	r.pass(time.Second)
	r.report("setpoint", tenths(180))
	r.wantSetting("setpoint", SettingPending, "")
	// What was reported before the hub's clock was set back hides nothing either.
	r.pass(-time.Hour)
	r.report("setpoint", tenths(200))
	r.wantSetting("setpoint", SettingInSync, "")
}

func TestReadingsThatDoNotCount(t *testing.T) {
	r := newCommandRig(t, "a")
	r.desire("setpoint", 20.0)
	r.report("setpoint", tenths(200))
	r.wantSetting("setpoint", SettingInSync, "")
	for name, at := range map[string]time.Time{"old": r.now().Add(-time.Hour), "future": r.now().Add(time.Hour)} {
		if _, err := r.Report("a", []Reported{{Channel: "setpoint", Value: tenths(100), Time: at}, {Channel: "temperature", Value: tenths(1), Time: r.now()}}); err != nil {
			t.Fatal(err)
		}
		if s := r.wantSetting("setpoint", SettingInSync, ""); s.Reported != 20.0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestEveryTypeOfSetting(t *testing.T) {
	r := newCommandRig(t, "a")
	for channel, c := range map[string]struct {
		desired  any
		reported device.Value
	}{
		"setpoint": {19.0, tenths(190)},
		"mode":     {"eco", device.Value{Type: device.String, Text: "eco"}},
		"level":    {7.0, device.Value{Type: device.Int, Bits: 7}},
		"gain":     {0.1, device.Value{Type: device.Float32, Bits: 0x3fb99999a0000000}},
	} {
		r.desire(channel, c.desired)
		r.restart("a")
		r.report(channel, c.reported)
		r.wantSetting(channel, SettingInSync, "")
	}
	sent := r.exchange(r.Delivery("a", 1))
	if len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	r.restart("a")
	if n := len(r.Desired("a")); n != 4 {
		t.Errorf("%d settings after a restart", n)
	}
}

func TestDesiredValuesThatAreRefused(t *testing.T) {
	r := newCommandRig(t, "a")
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
		_, err := r.SetDesired("a", c.channel, c.value, "ada", "")
		e, ok := errors.AsType[*CommandError](err)
		if !ok || !strings.Contains(e.Text, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s = %v: %#v", c.channel, c.value, err)
		}
	}
	if _, err := r.SetDesired("nobody", "setpoint", 20.0, "ada", ""); !errors.Is(err, ErrNoDevice) {
		t.Error(err)
	}
}

func TestClearedSettingIsNotSent(t *testing.T) {
	r := newCommandRig(t, "a")
	r.desire("setpoint", 20.0)
	r.desire("level", 3.0)
	if err := r.ClearDesired("a", "setpoint", "ada", ""); err != nil {
		t.Fatal(err)
	}
	if err := r.ClearDesired("a", "setpoint", "ada", ""); !errors.Is(err, ErrNoCommand) {
		t.Error(err)
	}
	r.restart("a")
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 || sent[0].Args["level"] != int64(3) {
		t.Errorf("%+v", sent)
	}
	trail, err := r.Audit.Entries(audit.Filter{Device: "a"})
	if err != nil || trail[len(trail)-1].Action != "setting pending" || trail[len(trail)-1].Text != "setpoint desired 20" || trail[len(trail)-1].From != "10.0.0.1" {
		t.Errorf("%+v, %v", trail, err)
	}
}
