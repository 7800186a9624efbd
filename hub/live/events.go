package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Kinds of events.
const (
	kindConnected    = "connected"
	kindDisconnected = "disconnected"
	kindReplaced     = "replaced"
	kindRefused      = "refused"
	kindTLS          = "tls"
	kindRejected     = "rejected"
	kindLost         = "lost"
	kindSchema       = "schema"
	kindClock        = "clock"
	kindBoot         = "boot"
	kindStream       = "stream"
	kindAlarm        = "alarm"
)

const (
	maxEvents  = 4096 // of devices and the hub
	maxUnknown = 512  // of addresses that no device is known of: they can't push the others out

	// repeatSpan is how long what happens again and again is only counted.
	repeatSpan        = int64(10 * time.Second / time.Microsecond)
	maxRepeats        = 4096 // different things counted at a time
	maxUnknownRepeats = 256  // of those, of unknown peers
)

// eventLog is what happened lately; guarded by Feed.mu.
type eventLog struct {
	number         uint64
	known          eventRing
	unknown        eventRing
	repeats        map[repeatKey]*repeat
	unknownRepeats int // of unknown peers
	leftOut        int // events for which there was no room
}

// notedEvent is an event and the tick it came in.
type notedEvent struct {
	Event
	tick uint64
}

// eventRing keeps the newest events.
type eventRing struct {
	events []notedEvent
	next   int // place of the oldest once the ring is full
}

func (r *eventRing) add(e notedEvent, most int) {
	if len(r.events) < most {
		r.events = append(r.events, e)
		return
	}
	r.events[r.next] = e
	r.next = (r.next + 1) % most
}

// newest calls yield from the newest event on until it returns false.
func (r *eventRing) newest(yield func(*notedEvent) bool) {
	for i := range r.events {
		at := (r.next + len(r.events) - 1 - i) % len(r.events)
		if !yield(&r.events[at]) {
			return
		}
	}
}

// repeatKey is what makes two events the same thing happening again.
type repeatKey struct {
	kind, device, address, about string
}

type repeat struct {
	event Event
	until int64
	count int // times it happened since it was noted
}

// note enters an event. The device's viewers see it with the tick under way.
func (f *Feed) note(e Event, now int64) {
	l := &f.events
	l.number++
	e.Number, e.At = l.number, millis(now)
	noted := notedEvent{e, f.open()}
	if ofUnknown(&e) {
		l.unknown.add(noted, maxUnknown)
		return
	}
	l.known.add(noted, maxEvents)
	if d := f.entries[e.Device]; d != nil {
		d.mark(f.open())
	}
}

// ofUnknown reports whether e was caused by somebody who is no device of ours.
func ofUnknown(e *Event) bool { return e.Device == "" && (e.Kind == kindRefused || e.Kind == kindTLS) }

// noteOften enters an event of a sort that may come often. about says what has to be equal for it to be the same thing; that
// is noted once, and then counted for ten seconds.
func (f *Feed) noteOften(e Event, about string, now int64) {
	l := &f.events
	key := repeatKey{e.Kind, e.Device, e.Address, about}
	if r := l.repeats[key]; r != nil {
		r.count++
		r.event = e
		return
	}
	if len(l.repeats)-l.unknownRepeats >= maxRepeats || ofUnknown(&e) && l.unknownRepeats >= maxUnknownRepeats {
		l.leftOut++
		return
	}
	if ofUnknown(&e) {
		l.unknownRepeats++
	}
	if l.repeats == nil {
		l.repeats = map[repeatKey]*repeat{}
	}
	l.repeats[key] = &repeat{event: e, until: now + repeatSpan}
	f.note(e, now)
}

// settle notes how often things happened again whose ten seconds are over.
func (l *eventLog) settle(f *Feed, now int64) {
	for key, r := range l.repeats {
		if now < r.until {
			continue
		}
		if ofUnknown(&r.event) {
			l.unknownRepeats--
		}
		delete(l.repeats, key)
		if r.count > 0 {
			r.event.Text += fmt.Sprintf(" (%d more in 10 s)", r.count)
			f.note(r.event, now)
		}
	}
	if l.leftOut > 0 && l.unknownRepeats < maxUnknownRepeats {
		f.note(Event{Kind: kindRefused, Text: fmt.Sprintf("%d more events, too many to list", l.leftOut)}, now)
		l.leftOut = 0
	}
}

// Events returns the newest events, at most limit, newest first; of one device, or of all and of the hub itself for "".
func (f *Feed) Events(device string, limit int) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.eventsLocked(limit, func(e *notedEvent) bool { return device == "" || e.Device == device },
		func(*notedEvent) bool { return true })
}

// EventsBefore is Events of those with lower numbers than before; 0: all.
func (f *Feed) EventsBefore(device string, before uint64, limit int) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.eventsLocked(limit, func(e *notedEvent) bool {
		return (device == "" || e.Device == device) && (before == 0 || e.Number < before)
	}, func(*notedEvent) bool { return true })
}

// EventsAfter returns the oldest events with a number above after, at most limit, newest first: who asks again with the highest
// number that came misses nothing that is still remembered.
func (f *Feed) EventsAfter(device string, after uint64, limit int) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.eventsLocked(maxEvents+maxUnknown, func(e *notedEvent) bool { return device == "" || e.Device == device },
		func(e *notedEvent) bool { return e.Number > after })
	return all[max(0, len(all)-limit):]
}

// eventsBetween returns the newest events of the ticks after since up to cut.
func (f *Feed) eventsBetween(device string, since, cut uint64, limit int) []Event {
	return f.eventsLocked(limit, func(e *notedEvent) bool { return e.tick <= cut && (device == "" || e.Device == device) },
		func(e *notedEvent) bool { return e.tick > since })
}

// eventsLocked returns the newest events that are wanted, newest first, back to the first that is not recent.
func (f *Feed) eventsLocked(limit int, wanted, recent func(*notedEvent) bool) []Event {
	found := []Event{}
	for _, ring := range []*eventRing{&f.events.known, &f.events.unknown} {
		n := 0
		ring.newest(func(e *notedEvent) bool {
			if n == limit || !recent(e) {
				return false
			}
			if wanted(e) {
				found = append(found, e.Event)
				n++
			}
			return true
		})
	}
	slices.SortFunc(found, func(a, b Event) int { return cmp.Compare(b.Number, a.Number) })
	return found[:min(limit, len(found))]
}
