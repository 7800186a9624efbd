package hub

import (
	"math"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	maxSkew   = 5 * time.Second // of a clock that is believed
	maxFuture = 5 * time.Minute // of a reading that is believed
)

// deviceClock is what is known of a device's wall clock at a moment.
type deviceClock struct {
	doubtful bool // it is wrong
}

// measured is what was seen of a device's clock when it said HELLO. The hub's clock may be set while the connection stands: what
// has to be known of the device follows from what is known of the hub, without asking again.
type measured struct {
	own  bool          // the device has a wall clock of its own; else it can only have taken the time from WELCOME
	skew time.Duration // how far the device's wall clock was ahead of the hub's; not own: 0
	base int64         // µs: of the hub's clock
}

// ahead is how far the device's clock is ahead of the hub's, whose clock has this base by now.
func (m *measured) ahead(base int64) time.Duration {
	by, ok := sub(base, m.base)
	if !ok {
		by = 0 // no clock is set by 290,000 years
	}
	ahead, ok := sub(m.skew.Microseconds(), by)
	if !ok {
		ahead = m.skew.Microseconds()
	}
	return skewOf(ahead, 0)
}

// wrong reports whether readings that the device gives the time of a wall clock, have a wrong time.
func (m *measured) wrong(base int64) bool { return m.ahead(base).Abs() > maxSkew }

// timing decides how the times of a frame become hub time. offset returns what is known of a boot, received is the hub's
// time (µs). It returns false for times that are not between device.MinTime and device.MaxTime after the conversion.
func (c deviceClock) timing(d *device.Data, received int64, offset func(boot uint64) (int64, bool)) (tail.Timing, bool) {
	oldest, newest := slices.Min(d.Times), slices.Max(d.Times)
	t := tail.Timing{Quality: tail.QualityDevice}
	if d.Clock == device.ClockBoot {
		var known bool
		if t.Offset, known = offset(d.Boot); known {
			t.Quality = tail.QualityConverted
		} else {
			// The distances within the frame are right: its newest sample is taken to be of now.
			var ok bool
			if t.Offset, ok = sub(received, newest); !ok {
				return t, false
			}
			t.Quality = tail.QualityReceived
		}
	}
	oldest, ok1 := add(oldest, t.Offset)
	newest, ok2 := add(newest, t.Offset)
	if !ok1 || !ok2 || oldest < device.MinTime || newest > device.MaxTime {
		return t, false
	}
	wrong := c.doubtful && d.Clock == device.ClockWall ||
		t.Quality == tail.QualityConverted && received < wallclock.Floor.UnixMicro() // the hub's own clock is wrong
	if ahead, ok := sub(newest, received); wrong || !ok && newest > received || ok && ahead > maxFuture.Microseconds() {
		t.Quality = tail.QualityDoubtful
	}
	return t, true
}

// skewOf is a device's wall clock minus the hub's; both in µs.
func skewOf(deviceNow, hubNow int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Microsecond)
	skew, ok := sub(deviceNow, hubNow)
	if !ok {
		skew = most
		if deviceNow < hubNow {
			skew = -most
		}
	}
	return time.Duration(min(max(skew, -most), most)) * time.Microsecond
}

func add(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

func sub(a, b int64) (int64, bool) {
	difference := a - b
	return difference, (difference < a) == (b > 0)
}

// watchClock has the sessions follow the hub's clock when it is set, until stop is called.
func (h *Hub) watchClock() (stop func()) {
	return h.store.WatchClock(func() {
		base := h.store.Clock().Base()
		for _, s := range h.sessions.list() {
			s.clockSet(base)
		}
	})
}

// clockSet has a device that has taken the time from WELCOME take it again: it gets it when it connects. What is known of the other
// devices' clocks follows by itself.
func (s *session) clockSet(base int64) {
	if s.measured.Load().wrong(base) && s.borrowed.Load() {
		s.leave(&device.GoAway{
			Reason: device.GoAwayClock, MinMS: 100, MaxMS: uint32((2 * time.Second).Milliseconds()), Text: "the hub's clock was set: take the time from WELCOME again",
		})
	}
}
