package live

import "time"

// followClock moves all moments by as much as the hub's clock was set: what was a second ago, still was. The times of readings that
// are remembered are by the hub's clock, too: it has converted them, or compared the device's clock with its own. It happens in the
// order of the journal, so that what is from before is moved, and what is from after is not. mu is held.
func (f *Feed) followClock(base int64) {
	by := f.view.Follow(base).Microseconds()
	if by == 0 {
		return
	}
	tick := f.open()
	for _, e := range f.sorted {
		e.move(by)
		e.clockSet(by, f.micros())
		if e.ring != nil {
			f.points -= e.ring.counted
			e.ring = &ring{lost: tick} // who watches begins anew, from the history
		}
		e.mark(tick)
	}
	f.looked += by
	f.started += Millis(by / 1000)
	for i := range f.rates.marks {
		f.rates.marks[i].at = f.rates.marks[i].at.Add(time.Duration(by) * time.Microsecond)
	}
	for _, r := range f.events.repeats {
		r.until += by
	}
	for _, ring := range []*eventRing{&f.events.known, &f.events.unknown} {
		for i := range ring.events {
			ring.events[i].At += Millis(by / 1000)
		}
	}
}

// move moves the moments by so many µs.
func (e *entry) move(by int64) {
	for _, moment := range []*int64{
		&e.opened, &e.closed, &e.refused, &e.arrived, &e.seen, &e.stateFrom, &e.since.rejected, &e.since.rejectedLast,
		&e.since.lost, &e.since.lostLast, &e.since.holes, &e.since.clock,
	} {
		if *moment != 0 {
			*moment += by
		}
	}
	if e.newest != noTime {
		e.newest += by
	}
	for i := range e.values {
		if v := &e.values[i]; v.time != noTime {
			v.time += by
		}
	}
	e.next = 0 // the states are to be computed anew
}

// clockSet says that the hub's clock was set by so many µs, to now: the device's is as much less ahead.
func (e *entry) clockSet(by, now int64) {
	if !e.greeted {
		return
	}
	e.skew -= by
	switch {
	case !wrongClock(e.skew):
		e.since.clock = 0
	case e.since.clock == 0:
		e.since.clock = now
	}
}
