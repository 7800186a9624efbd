package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// testClockVariable names a file, for tests of the hub only: it says by how many seconds the hub's clock is wrong, and is read again
// and again. So a test can set the clock of a hub, and not that of the whole machine.
const testClockVariable = "TELEMETRY_TEST_CLOCK"

// testClock is the system's clock, as wrong as a file says; nil without a file.
func testClock(file string) *wallclock.Clock {
	if file == "" {
		return nil
	}
	const every = 20 * time.Millisecond
	source := wallclock.SystemSource()
	var wrong, due atomic.Int64 // seconds; elapsed
	source.Wall = func() time.Time {
		if now := source.Elapsed(); now >= time.Duration(due.Load()) {
			due.Store(int64(now + every))
			b, _ := os.ReadFile(file) // while it is being replaced, the clock stays as it is
			if seconds, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				wrong.Store(seconds)
			}
		}
		return time.Now().Round(0).Add(time.Duration(wrong.Load()) * time.Second)
	}
	return wallclock.New(source)
}
