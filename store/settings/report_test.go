package settings

import (
	"math"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// A device that has the value already gets no command to set it: it would do so, report what the hub knows, and get the next one.
func TestDesiredValueThatTheDeviceHasAlready(t *testing.T) {
	r := newRig(t)
	r.report("setpoint", tenths(215))
	r.report("mode", device.Value{Type: device.String, Text: "eco"})
	r.report("level", device.Value{Type: device.Int, Bits: 7})
	r.report("gain", device.Value{Type: device.Float32, Bits: math.Float64bits(float64(float32(0.1)))})
	for channel, value := range map[string]any{"setpoint": 21.5, "mode": "eco", "level": int64(7), "gain": 0.1} {
		if s := r.desire(channel, value); s.Status != InSync || s.Reported == nil || !s.ReportedAt.Equal(r.now()) {
			t.Errorf("%+v", s)
		}
		if err := r.Clear("a", channel, "ada", ""); err != nil {
			t.Error(err)
		}
		if s := r.desire(channel, value); s.Status != InSync { // it is still known
			t.Errorf("%+v", s)
		}
	}
	if sent := r.exchange(r.book.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	if s := r.desire("level", int64(8)); s.Status != Pending || s.Reported != int64(7) {
		t.Errorf("%+v", s)
	}
	if err := r.book.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if s := r.desire("level", int64(7)); s.Status != Pending || s.Reported != nil {
		t.Errorf("of a device that was removed: %+v", s)
	}
}

// What a device reports whose removal is under way is not known of the next one with its name.
func TestReportOfARemovedDevice(t *testing.T) {
	r := newRig(t)
	r.removed = true
	if err := r.book.Remove("a"); err != nil {
		t.Fatal(err)
	}
	r.report("setpoint", tenths(215))
	r.removed = false
	if s := r.desire("setpoint", 21.5); s.Status != Pending || s.Reported != nil {
		t.Errorf("%+v", s)
	}
}

// A reading a little ahead of the hub's clock hides none of those that follow.
func TestReportsAheadOfTheClock(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 20.0)
	if _, err := r.Report("a", []Reported{{Channel: "setpoint", Value: tenths(200), Time: r.now().Add(futureTolerance)}}); err != nil {
		t.Fatal(err)
	}
	if s := r.wantSetting("setpoint", InSync, ""); !s.ReportedAt.Equal(r.now()) {
		t.Errorf("%+v", s)
	}
	r.pass(time.Second)
	r.report("setpoint", tenths(180))
	r.wantSetting("setpoint", Pending, "")
	// What was reported before the hub's clock was set back hides nothing either.
	r.pass(-time.Hour)
	r.report("setpoint", tenths(200))
	r.wantSetting("setpoint", InSync, "")
}

func TestReadingsThatDoNotCount(t *testing.T) {
	r := newRig(t)
	r.desire("setpoint", 20.0)
	r.report("setpoint", tenths(200))
	r.wantSetting("setpoint", InSync, "")
	for name, at := range map[string]time.Time{"old": r.now().Add(-time.Hour), "future": r.now().Add(time.Hour)} {
		if _, err := r.Report("a", []Reported{{Channel: "setpoint", Value: tenths(100), Time: at}, {Channel: "temperature", Value: tenths(1), Time: r.now()}}); err != nil {
			t.Fatal(err)
		}
		if s := r.wantSetting("setpoint", InSync, ""); s.Reported != 20.0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestEveryTypeOfSetting(t *testing.T) {
	r := newRig(t)
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
		r.restart()
		r.report(channel, c.reported)
		r.wantSetting(channel, InSync, "")
	}
	sent := r.exchange(r.book.Delivery("a", 1))
	if len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	r.restart()
	if n := len(r.List("a")); n != 4 {
		t.Errorf("%d settings after a restart", n)
	}
}

// While hub.db can't be written, the clock is followed again and again, and nothing has moved.
func TestReportedTimesMoveOnce(t *testing.T) {
	r := newRig(t)
	r.clock = wallclock.New(wallclock.Source{Wall: r.now, Elapsed: func() time.Duration { return time.Hour }, Machine: 1})
	r.restart()
	at := r.now()
	r.report("setpoint", tenths(215))
	newest := func() time.Time { return r.newest["a"]["setpoint"].Time }
	r.pass(24 * time.Hour)
	r.clock.Now() // notices it
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := r.book.FollowClock(); err == nil {
			t.Fatal("written to a closed file")
		}
	}
	if !newest().Equal(at) {
		t.Errorf("moved to %v, want %v", newest(), at)
	}
	// And when it is followed, it moves once.
	r.at = at
	r.clock.Now()
	r.open()
	r.report("setpoint", tenths(215))
	r.pass(24 * time.Hour)
	r.clock.Now()
	for range 2 {
		if err := r.book.FollowClock(); err != nil {
			t.Fatal(err)
		}
	}
	if !newest().Equal(at.Add(24 * time.Hour)) {
		t.Errorf("moved to %v, want %v", newest(), at.Add(24*time.Hour))
	}
}
