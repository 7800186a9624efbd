package commands

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// base is the base of the clock that the times in the book are by, with this change.
func (ch *commandChange) base() int64 {
	if ch.moved != nil {
		return *ch.moved
	}
	return ch.book.clock.Base()
}

// followClock moves the times of what may still change by as much as the clock was set: who had ten seconds left to do something,
// still has them.
func (b *commandBook) followClock() error {
	if b.clock.Behind() == 0 && b.clockRecorded.Load() {
		return nil
	}
	return b.do(func(ch *commandChange) error {
		ch.follow(b.store.clock.Base())
		return nil
	})
}

func (ch *commandChange) follow(base int64) {
	by := time.Duration(base-ch.base()) * time.Microsecond
	ch.moved, ch.now = &base, ch.now.Add(by)
	if by == 0 {
		return
	}
	for id := range ch.book.devices {
		d := ch.touch(id)
		for _, list := range [][]*Command{d.queued, d.sent} {
			for i, c := range list {
				next := *c
				next.move(by)
				list[i], ch.commands[c.Number] = &next, &next
				ch.events = append(ch.events, next) // who shows how long is left has to know
			}
		}
		for channel, set := range d.settings {
			next := *set
			next.Set, next.Since = wallclock.Shift(next.Set, by), wallclock.Shift(next.Since, by)
			next.ReportedAt, next.next = wallclock.Shift(next.ReportedAt, by), wallclock.Shift(next.next, by)
			d.settings[channel], ch.set[id] = &next, true
			ch.settings = append(ch.settings, next)
		}
	}
}

// moveNewest moves what is known of readings.
func (b *commandBook) moveNewest(by time.Duration) {
	for _, known := range b.newest {
		for channel, r := range known {
			r.Time = r.Time.Add(by)
			known[channel] = r
		}
	}
}

func (c *Command) move(by time.Duration) {
	for _, t := range []*time.Time{&c.Created, &c.Deadline, &c.Sent, &c.Changed} {
		*t = wallclock.Shift(*t, by)
	}
}
