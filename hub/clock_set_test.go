package hub

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// setClock is a machine's clock that shows the true time and an error.
type setClock struct{ wrong atomic.Int64 } // ns

func (c *setClock) clock() *wallclock.Clock {
	source := wallclock.SystemSource()
	source.Wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(c.wrong.Load())) }
	return wallclock.New(source)
}

// TestTheClockIsSet has the hub's clock wrong, and then set while devices with every kind of clock stream: what they have measured is
// right, or marked as doubtful, from the first frame on, and nothing looks stale.
func TestTheClockIsSet(t *testing.T) {
	for name, wrong := range map[string]time.Duration{"to 1970": -56 * 365 * 24 * time.Hour, "ten years ahead": 10 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var c setClock
			c.wrong.Store(int64(wrong))
			r := newRig(t, rigOptions{clock: c.clock(), live: true}, "right", "wrong", "boot", "borrowing")
			booted := time.Now().Add(-time.Hour)
			uptime := func() time.Time { return time.UnixMicro(time.Since(booted).Microseconds()) }
			slow := func() time.Time { return time.Now().Add(-year) }
			clocks := map[string]struct {
				kind device.Clock
				now  func() time.Time
			}{"right": {device.ClockWall, time.Now}, "wrong": {device.ClockWall, slow}, "boot": {device.ClockBoot, uptime}}
			devices := map[string]*testDevice{}
			for id, clock := range clocks {
				h := helloNow()
				h.Clock, h.Boot, h.Now = clock.kind, 5, clock.now().UnixMicro()
				devices[id] = r.connect(id)
				devices[id].greet(h)
			}
			borrowing := r.connect("borrowing")
			h := helloNow()
			h.Clock, h.Boot, h.Now = device.ClockBoot, 5, uptime().UnixMicro()
			welcome := borrowing.greet(h)
			borrowing.write(2, frame(t, 1, time.UnixMicro(welcome.Now)))
			borrowing.acked(1)

			seq := uint64(0)
			send := func() {
				t.Helper()
				seq++
				for id, clock := range clocks {
					d := device.Data{Seq: seq, Clock: clock.kind, Times: []int64{clock.now().UnixMicro()},
						Columns: []device.Column{{ID: 2, Type: device.Int, Bits: []uint64{seq}}}}
					if clock.kind == device.ClockBoot {
						d.Boot = 5
					}
					b, err := device.AppendData(nil, &d, testSchema)
					if err != nil {
						t.Fatal(err)
					}
					devices[id].write(2, b)
				}
				for id := range clocks {
					devices[id].acked(seq)
				}
			}
			// newest returns the newest stored reading of a device.
			newest := func(id string) (last history.Reading) {
				t.Helper()
				for reading, err := range r.store.Readings(t.Context(), history.Query{Device: id}) {
					if err != nil {
						t.Fatal(err)
					}
					if reading.Value.Bits >= last.Value.Bits {
						last = reading
					}
				}
				return last
			}
			check := func(when, id string, by time.Duration, quality tail.Quality) {
				t.Helper()
				got := newest(id)
				if off := time.Until(got.Time) - by; off.Abs() > time.Minute || got.Quality != quality {
					t.Errorf("%s: %s: a reading of %v has the time %v, quality %d; want quality %d", when, id, time.Now(), got.Time, got.Quality, quality)
				}
			}
			fresh := func(when string) {
				t.Helper()
				eventually(t, when+": all devices are live", func() bool {
					send()
					n := 0
					for _, row := range r.feed.Devices(live.List{Count: 10}).Rows {
						if row.ID != "borrowing" && row.State == live.StateLive {
							n++
						}
					}
					return n == len(clocks)
				})
			}
			send()
			converted := tail.QualityConverted
			if wrong < 0 {
				converted = tail.QualityDoubtful // no clock that is right shows 1970
			}
			check("wrong", "right", 0, tail.QualityDoubtful)
			check("wrong", "wrong", -year, tail.QualityDoubtful)
			check("wrong", "boot", wrong, converted)
			fresh("wrong")

			c.wrong.Store(0)
			send()
			check("set", "right", 0, tail.QualityDevice)
			check("set", "wrong", -year, tail.QualityDoubtful)
			check("set", "boot", 0, tail.QualityConverted)
			fresh("set")
			if skew := r.hub.Presence("wrong").ClockSkew + year; skew.Abs() > time.Minute {
				t.Errorf("the slow device's clock is wrong by %v more than it is", skew)
			}
			if away := expect[*device.GoAway](borrowing); away.Reason != device.GoAwayClock {
				t.Errorf("%+v", away)
			}
			borrowing.closed(device.CloseGoingAway)

			c.wrong.Store(int64(wrong))
			send()
			check("wrong again", "right", 0, tail.QualityDoubtful)
			check("wrong again", "boot", wrong, converted)
			fresh("wrong again")

			// What is remembered moves with the clock, though nothing new comes.
			c.wrong.Store(0)
			eventually(t, "what is remembered has moved", func() bool {
				n := 0
				for _, row := range r.feed.Devices(live.List{}).Rows {
					if seen := time.UnixMilli(int64(row.Seen)); row.ID != "borrowing" && time.Since(seen).Abs() < time.Minute && row.State == live.StateLive {
						n++
					}
				}
				return n == len(clocks)
			})
		})
	}
}

// A device that has taken the time from WELCOME, and has sent nothing with it before the hub's clock is set.
func TestTheClockIsSetBeforeAFrame(t *testing.T) {
	var c setClock
	c.wrong.Store(int64(-56 * year))
	r := newRig(t, rigOptions{clock: c.clock()}, "borrowing")
	d := r.connect("borrowing")
	h := helloNow()
	h.Clock, h.Boot, h.Now = device.ClockBoot, 5, time.Minute.Microseconds()
	welcome := d.greet(h)
	told := make(chan struct{}, 1)
	defer r.store.WatchClock(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})()
	c.wrong.Store(0)
	eventually(t, "the hub notices", func() bool { r.hub.now(); return len(told) > 0 })
	r.store.WatchClock(func() {})() // those who are told at this moment have been told then
	d.write(2, frame(t, 1, time.UnixMicro(welcome.Now)))
	if away := expect[*device.GoAway](d); away.Reason != device.GoAwayClock {
		t.Errorf("%+v", away)
	}
	d.closed(device.CloseGoingAway)
}

const year = 365 * 24 * time.Hour
