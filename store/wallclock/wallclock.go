// Package wallclock notices when the machine's wall clock is set.
//
// Many gateways have no battery for their clock: they start in 1970, or where they were switched off, and are put right by
// the network minutes later, while devices stream. So how long something took is measured by a clock that nobody sets, and the
// wall clock says only what to call a moment. The difference between the two is the base; when it changes, the wall clock was
// set. Whoever keeps moments by the wall clock keeps a [View] of it: the view goes on as if nothing had happened until its owner
// has moved the moments, so that nothing is old, or in the future, because a clock was set.
package wallclock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// tolerance is by how much the wall clock may differ from where it should be: what reads both, cannot read them at once.
const tolerance = 250 * time.Millisecond

// Floor is a time that is past: this program did not exist before it. A clock that shows an earlier one is wrong.
var Floor = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)

// Source is what a Clock reads.
type Source struct {
	Wall    func() time.Time
	Elapsed func() time.Duration // since the machine booted; nobody sets it
	Asleep  func() time.Duration // how long the machine has slept of late, which Elapsed leaves out; nil: it counts that, too
	Machine uint64               // names that boot of the machine; 0: not known
}

// Clock is a wall clock that knows when it is set. Its methods are safe for concurrent use.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // nil: the wall clock is never set
	asleep  func() time.Duration // may be nil
	machine uint64
	slept   atomic.Int64 // µs: what asleep said last; Elapsed is with it
	base    atomic.Int64 // µs: what the wall clock showed, or would have shown, when Elapsed was 0

	mu      sync.Mutex // held by who looks whether it was set
	noticed chan struct{}
}

// New returns a clock that compares the two clocks of s.
func New(s Source) *Clock {
	c := &Clock{wall: s.Wall, elapsed: s.Elapsed, asleep: s.Asleep, machine: s.Machine, noticed: make(chan struct{}, 1)}
	c.base.Store(c.wall().UnixMicro() - c.Elapsed())
	return c
}

// Steady returns a clock that takes wall for the measure of all time: it is never set.
func Steady(wall func() time.Time) *Clock {
	return &Clock{wall: wall, noticed: make(chan struct{}, 1)}
}

// System returns the machine's clock.
func System() *Clock { return New(SystemSource()) }

// Now is the wall clock. Who calls Base after it gets the base of this time or of a later one.
func (c *Clock) Now() time.Time {
	now := c.wall()
	if c.elapsed != nil && c.wasSet(now.UnixMicro()-c.Elapsed()) {
		c.look()
	}
	return now
}

// Base is the time of the wall clock, in µs since 1970, at which Elapsed was 0.
func (c *Clock) Base() int64 { return c.base.Load() }

// Elapsed is a time in µs that nobody sets: Base + Elapsed is the wall clock.
func (c *Clock) Elapsed() int64 {
	if c.elapsed == nil {
		return c.wall().UnixMicro()
	}
	return c.elapsed().Microseconds() + c.slept.Load()
}

// Moment is a moment in µs of Elapsed: to be remembered by who wants to know later how long ago it was.
type Moment int64

// Moment is the present moment.
func (c *Clock) Moment() Moment { return Moment(c.Elapsed()) }

// Time is a moment by the wall clock as it is now; the zero Moment is the zero time.
func (c *Clock) Time(m Moment) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(c.Base() + int64(m)).UTC()
}

// Since is how long ago a moment was.
func (c *Clock) Since(m Moment) time.Duration {
	return time.Duration(c.Elapsed()-int64(m)) * time.Microsecond
}

// Machine names the boot of the machine that Elapsed counts from; 0: not known.
func (c *Clock) Machine() uint64 { return c.machine }

// Noticed says that the clock was set since the last time: Base has changed.
func (c *Clock) Noticed() <-chan struct{} { return c.noticed }

func (c *Clock) wasSet(base int64) bool { return !Close(base, c.base.Load()) }

// Close tells whether two bases, in µs, are of a clock that was not set in between.
func Close(a, b int64) bool {
	d := time.Duration(a-b) * time.Microsecond
	return -tolerance <= d && d <= tolerance
}

// look takes the base anew, unless it is not clear: between two readings a busy machine may do something else for long.
func (c *Clock) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range 10 {
		before := c.Elapsed()
		if c.asleep != nil {
			if slept := c.asleep().Microseconds(); !Close(slept, c.slept.Load()) {
				c.slept.Store(slept)
				continue
			}
		}
		now := c.wall().UnixMicro()
		if c.Elapsed()-before > tolerance.Microseconds()/10 {
			continue
		}
		if base := now - before; c.wasSet(base) {
			c.base.Store(base)
			notify.Signal(c.noticed)
		}
		return
	}
}

// View is the clock as it was before it was set, for those who keep moments, until they have moved them. Its methods are safe for
// concurrent use.
type View struct {
	clock *Clock
	base  atomic.Int64
}

// View returns a view of the clock as it is.
func (c *Clock) View() *View {
	v := &View{clock: c}
	v.base.Store(c.Base())
	return v
}

// Now is the wall clock as if it had not been set since the last Follow.
func (v *View) Now() time.Time {
	if v.clock.elapsed == nil {
		return v.clock.wall()
	}
	return time.UnixMicro(v.base.Load() + v.clock.Elapsed())
}

// Base is the base of this view, in µs.
func (v *View) Base() int64 { return v.base.Load() }

// Follow moves the view to a base of the clock. What it calls a moment changes by the result.
func (v *View) Follow(base int64) (by time.Duration) {
	return time.Duration(base-v.base.Swap(base)) * time.Microsecond
}

// Behind is by how much the clock was set since the view was last moved.
func (v *View) Behind() time.Duration {
	return time.Duration(v.clock.Base()-v.base.Load()) * time.Microsecond
}

// Earlier returns the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Later returns the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Text is a time as texts for people have it, in UTC and to the second.
func Text(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Shift moves a moment by how far the clock was set; the zero time stays what it is.
func Shift(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(by)
}
