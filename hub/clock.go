package hub

import (
	"math"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

const (
	maxSkew   = 5 * time.Second // of a clock that is believed
	maxFuture = 5 * time.Minute // of a reading that is believed
)

// deviceClock is what HELLO told about the device's clock.
type deviceClock struct {
	doubtful bool // a wall clock that is wrong
}

// timing decides how the times of a frame become hub time. offset returns what is known of a boot, received is the hub's
// time (µs). It returns false for times that are not between device.MinTime and device.MaxTime after the conversion.
func (c deviceClock) timing(d *device.Data, received int64, offset func(boot uint64) (int64, bool)) (store.Timing, bool) {
	oldest, newest := slices.Min(d.Times), slices.Max(d.Times)
	t := store.Timing{Quality: history.QualityDevice}
	if d.Clock == device.ClockBoot {
		var known bool
		if t.Offset, known = offset(d.Boot); known {
			t.Quality = history.QualityConverted
		} else {
			// The distances within the frame are right: its newest sample is taken to be of now.
			var ok bool
			if t.Offset, ok = sub(received, newest); !ok {
				return t, false
			}
			t.Quality = history.QualityReceived
		}
	}
	oldest, ok1 := add(oldest, t.Offset)
	newest, ok2 := add(newest, t.Offset)
	if !ok1 || !ok2 || oldest < device.MinTime || newest > device.MaxTime {
		return t, false
	}
	wrong := c.doubtful && d.Clock == device.ClockWall
	if ahead, ok := sub(newest, received); wrong || !ok && newest > received || ok && ahead > maxFuture.Microseconds() {
		t.Quality = history.QualityDoubtful
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
