package live

import (
	"math"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func bitsOf(v float64) uint64 { return math.Float64bits(v) }

func TestStatesOfADevice(t *testing.T) {
	r := newRig(t, "a")
	r.is("a", StateNever)
	d := r.connect("a", 1)
	r.is("a", StateNever) // connected, but nothing has come
	d.send(2134)
	r.is("a", StateLive)
	if v := r.valueOf("a", "temperature"); v == nil || v.Text != "21.34" || string(v.Value) != "21.34" || v.Unit != "Cel" || v.State != StateLive || v.Expect != 1000 {
		t.Errorf("value %+v", v)
	}
	// One reading a second is expected: late after 1 s and 2 s for the way, stale after 2 s more.
	for _, c := range []struct {
		after time.Duration
		want  State
	}{{2, StateLive}, {1, StateLate}, {1, StateLate}, {1, StateStale}, {3600, StateStale}} {
		r.pass(c.after * time.Second)
		r.is("a", c.want)
	}
	if row := r.row("a"); row.Since != r.clock.millis(3600*time.Second) || row.Seen != r.clock.millis(3605*time.Second) || !row.Connected {
		t.Errorf("%+v", row)
	}
	d.send(2200)
	r.is("a", StateLive)
	r.Disconnected("a", 1, device.CloseIdle, "silent", false)
	r.is("a", StateOffline)
	r.pass(10 * time.Second)
	if row := r.row("a"); row.State != StateOffline || row.Since != r.clock.millis(10*time.Second) || row.Connected || row.Values[0].State != StateStale {
		t.Errorf("%+v", row)
	}
	if err := r.store.Devices.Revoke("a"); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Second)
	r.is("a", StateRevoked)
}

// A device that says goodbye may be back at once; one that takes over its own connection is never away.
func TestOrderlyReconnects(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(1)
	r.Disconnected("a", 1, 0, "closed", true)
	r.is("a", StateLive)
	r.pass(2 * time.Second)
	r.is("a", StateLive)
	r.pass(time.Second)
	r.is("a", StateOffline)

	r.Connected("a", 2, "192.0.2.1:5")
	r.is("a", StateLive) // it gets the time it needs for its first reading
	r.Connected("a", 3, "192.0.2.1:6")
	r.Disconnected("a", 2, device.CloseReplaced, "replaced", false)
	r.is("a", StateLive)
	r.Connected("a", 1, "192.0.2.1:4") // told late
	r.Disconnected("a", 1, 0, "", false)
	if row := r.row("a"); !row.Connected || row.State != StateLive {
		t.Errorf("%+v", row)
	}
	r.pass(5 * time.Second)
	r.is("a", StateStale)
	var kinds []string
	for _, e := range r.Events("a", 10) {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"replaced", "connected", "disconnected", "connected"}; !equal(kinds, want) {
		t.Errorf("events %v, expected %v", kinds, want)
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A device that sends a minute of readings once a minute is not stale in between, though its channel says one a second.
func TestExpectationFollowsTheFrames(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	batch := func() {
		var samples []reading
		for i := range 60 {
			samples = append(samples, reading{d.clock.ago(time.Duration(59-i) * time.Second), map[uint16]any{1: i}})
		}
		d.frame(tail.Timing{}, samples...)
	}
	batch() // its length tells as much already
	for range 3 {
		r.pass(60 * time.Second)
		r.is("a", StateLive)
		if v := r.valueOf("a", "temperature"); v.State != StateLive || v.Expect < 59_000 {
			t.Errorf("%+v", v)
		}
		batch()
	}
	r.pass(100 * time.Second)
	r.is("a", StateLate)
	r.pass(100 * time.Second)
	r.is("a", StateStale)
}

// A channel that is silent while the others go on is told, and needs attention.
func TestStaleChannel(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{1: 1, 2: true, 3: "auto", 4: 0.5}})
	for range 200 {
		r.pass(time.Second)
		d.send(1)
	}
	r.pass(time.Second)
	r.is("a", StateLive)
	if v := r.valueOf("a", "level"); v.State != StateStale || v.Expect != 60_000 {
		t.Errorf("level %+v", v)
	}
	if v := r.valueOf("a", "mode"); string(v.Value) != `"auto"` || v.Text != "auto" {
		t.Errorf("mode %+v", v)
	}
	hub := r.Hub()
	if len(hub.Attention) != 1 || hub.Attention[0].Reason != "channel" || hub.Attention[0].Detail != "level" || hub.Counts.Attention != 1 || hub.Counts.Live != 1 {
		t.Errorf("%+v %+v", hub.Attention, hub.Counts)
	}
}

func TestBacklogDoesNotReplaceNewerValues(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(100)
	d.frame(tail.Timing{}, reading{r.clock.ago(time.Hour), map[uint16]any{1: 1, 4: 7.5}})
	if v := r.valueOf("a", "temperature"); v.Text != "1" || v.Time != r.clock.millis(0) {
		t.Errorf("temperature %+v", v)
	}
	if v := r.valueOf("a", "level"); v.Text != "7.5" || v.Time != r.clock.millis(time.Hour) || v.State != StateStale {
		t.Errorf("level %+v", v)
	}
	r.pass(10 * time.Second)
	d.frame(tail.Timing{}, reading{r.clock.ago(time.Minute), map[uint16]any{1: 1}})
	r.is("a", StateStale) // frames come, but nothing new in them
	if row := r.row("a"); row.Seen != r.clock.millis(0) {
		t.Errorf("seen %d", row.Seen)
	}
}

func TestReadingsOfTheFuture(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(100)
	d.frame(tail.Timing{}, reading{r.clock.ago(-time.Hour), map[uint16]any{1: 1}})
	if v := r.valueOf("a", "temperature"); v.Text != "1" || v.Time != r.clock.millis(0) {
		t.Errorf("%+v", v)
	}
	r.pass(10 * time.Second)
	r.is("a", StateStale)
}

// A reading a little ahead of the hub's clock counts as of its receipt: it looks no fresher, and hides none of those that follow.
func TestReadingsALittleAhead(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(100)
	d.frame(tail.Timing{}, reading{r.clock.ago(-4 * time.Minute), map[uint16]any{1: 200}}, reading{r.clock.ago(-299 * time.Second), map[uint16]any{1: 100}})
	if v := r.valueOf("a", "temperature"); v.Text != "1" || v.Time != r.clock.millis(0) {
		t.Errorf("%+v", v)
	}
	r.pass(time.Second)
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{1: 300}})
	if v := r.valueOf("a", "temperature"); v.Text != "3" || v.Time != r.clock.millis(0) {
		t.Errorf("%+v", v)
	}
	d.frame(tail.Timing{}, reading{r.clock.ago(-299 * time.Second), map[uint16]any{1: 4}})
	r.pass(10 * time.Second)
	r.is("a", StateStale)
}

// A device whose clock is wrong is shown by the hub's clock, and needs attention.
func TestWrongClock(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	r.Greeted("a", 1, -365*24*time.Hour)
	d.frame(tail.Timing{Quality: tail.QualityDoubtful}, reading{r.clock.ago(365 * 24 * time.Hour), map[uint16]any{1: 5}})
	r.is("a", StateLive)
	if v := r.valueOf("a", "temperature"); v.Time != r.clock.millis(0) {
		t.Errorf("%+v", v)
	}
	r.ticks(4)
	if hub := r.Hub(); len(hub.Attention) != 1 || hub.Attention[0].Reason != "clock" || r.row("a").Skew != -365*24*3600*1000 {
		t.Errorf("%+v", hub.Attention)
	}
	r.Connected("a", 2, "192.0.2.1:1") // its clock is right now
	r.Greeted("a", 2, time.Second)
	r.ticks(4)
	if hub := r.Hub(); len(hub.Attention) != 0 || r.row("a").Skew != 0 {
		t.Errorf("%+v", hub.Attention)
	}
}

// When the hub's clock is set back, what was measured before must not stand for the newest for ever.
func TestHubClockIsSetBack(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(100)
	r.clock.add(-time.Hour)
	r.ticks(4)
	r.is("a", StateStale)
	d.send(300)
	r.is("a", StateLive)
	if v := r.valueOf("a", "temperature"); v.Text != "3" || v.State != StateLive {
		t.Errorf("%+v", v)
	}
	r.pass(10 * time.Second)
	r.is("a", StateStale)
}

func TestTroubles(t *testing.T) {
	r := newRig(t, "a", "b", "c")
	a := r.connect("a", 1)
	a.send(1)
	if err := a.in.Reject(t.Context(), 2, device.RejectMalformed, "it ends early", []byte{2}); err != nil {
		t.Fatal(err)
	}
	if err := a.in.Lost(t.Context(), &device.Lost{First: 3, Last: 7, Reason: device.LostOverwritten}); err != nil {
		t.Fatal(err)
	}
	a.seq = 9 // 8 and 9 are missing
	a.send(2)
	r.connect("b", 2).send(1)
	r.Disconnected("b", 2, 0, "gone", false)
	r.ticks(4)
	if row := r.row("a"); row.Rejected != 1 || row.Lost != 5 || row.Holes != 2 {
		t.Errorf("%+v", row)
	}
	reasons := func() (list []string) {
		for _, trouble := range r.Hub().Attention {
			list = append(list, trouble.Device+" "+trouble.Reason+" "+trouble.Detail)
		}
		return list
	}
	if got, want := reasons(), []string{"b offline ", "a lost 5", "a rejected 1"}; !equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	if c := r.Hub().Counts; c != (Counts{Total: 3, Live: 1, Offline: 1, Never: 1, Attention: 2}) {
		t.Errorf("%+v", c)
	}
	r.pass(59 * time.Second)
	a.send(1)
	r.pass(3 * time.Second)
	if got, want := reasons(), []string{"b offline ", "a holes 2", "a lost 5", "a rejected 1"}; !equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	r.clock.add(time.Hour)
	a.send(1)
	r.ticks(4)
	if got, want := reasons(), []string{"b offline ", "a holes 2"}; !equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	if err := r.store.Devices.Revoke("b"); err != nil {
		t.Fatal(err)
	}
	r.ticks(4)
	if got, want := reasons(), []string{"a holes 2"}; !equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	r.Refused("192.0.2.9:1", "b", "403: revoked")
	r.ticks(4)
	if got, want := reasons(), []string{"b revoked ", "a holes 2"}; !equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}
