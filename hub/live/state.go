package live

import (
	"math"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	defaultPace = int64(10 * time.Second / time.Microsecond) // of a device that does not say
	slack       = int64(2 * time.Second / time.Microsecond)  // for the way, and for commits
	grace       = int64(3 * time.Second / time.Microsecond)  // to come back after an orderly end of the connection
)

// expected is within how many µs the next reading of the device is expected.
func (e *entry) expected() int64 {
	if pace := max(e.pace, e.spacing); pace > 0 {
		return pace
	}
	return defaultPace
}

// expectedOf is the same of one channel.
func (e *entry) expectedOf(ch *device.Channel) int64 {
	if ch.Interval == 0 {
		return e.expected()
	}
	return max(int64(ch.Interval)*1000, e.spacing)
}

// thresholds returns when a reading of the time from becomes late, and when stale, if the next one is expected after so many µs.
func thresholds(from, expected int64) (late, stale int64) {
	late = from + max(expected+expected/2, expected+slack)
	return late, max(from+3*expected, late+slack)
}

// stateAt returns the state that a reading of the time from has now, since when it has had it, and when it will change if no other
// reading comes.
func stateAt(now, from, expected int64) (state State, since, next int64) {
	late, stale := thresholds(from, expected)
	switch {
	case from > now+maxFuture.Microseconds(): // the hub's clock was set back
		return StateStale, now, math.MaxInt64
	case now < late:
		return StateLive, from, late
	case now < stale:
		return StateLate, late, stale
	default:
		return StateStale, stale, math.MaxInt64
	}
}

// updateStates computes the present states of the device and its channels, marks what has changed with the tick, and reports whether
// anything has.
func (e *entry) updateStates(now int64, tick uint64) (changed bool) {
	state, since, next := e.deviceState(now)
	if state != e.state {
		e.state, e.stateFrom, changed = state, since, true
	}
	e.next = next
	stale := 0
	for i := range e.values {
		v := &e.values[i]
		if v.time == noTime {
			continue
		}
		state, _, next := stateAt(now, v.time, e.expectedOf(&e.schema.Channels[i]))
		e.next = min(e.next, next)
		if state == StateStale && e.schema.Channels[i].Interval > 0 {
			stale++
		}
		if state != v.state {
			v.state, v.changed, changed = state, tick, true
		}
	}
	e.stale = stale
	if changed {
		e.mark(tick)
	}
	return changed
}

// deviceState is the state of the device. A device that has just connected gets the time it needs for its first reading.
func (e *entry) deviceState(now int64) (state State, since, next int64) {
	switch {
	case e.revoked:
		return StateRevoked, now, math.MaxInt64
	case e.seen == 0:
		return StateNever, e.created, math.MaxInt64
	case !e.connected && e.returning && now < e.closed+grace:
		state, since, next = stateAt(now, max(e.newest, e.opened), e.expected())
		return state, since, min(next, e.closed+grace)
	case !e.connected && e.closed != 0:
		return StateOffline, e.closed, math.MaxInt64
	case !e.connected:
		return StateOffline, e.seen, math.MaxInt64 // before the hub's start
	}
	state, since, next = stateAt(now, max(e.newest, e.opened), e.expected())
	if state == StateLive {
		since = now
	}
	return state, since, next
}
