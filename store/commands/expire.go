package commands

import (
	"context"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	// Deadlines are looked at no more often than the first, and no more seldom than the second: the clock of a test may jump.
	expireSoonest = 20 * time.Millisecond
	expireLatest  = time.Second
)

// run settles what nothing has come of in time, until ctx ends.
func (b *commandBook) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	soon := true // the timer is about to fire: it must not be put off by what keeps happening
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.due:
			if !soon {
				soon = true
				timer.Reset(expireSoonest)
			}
			continue
		case <-timer.C:
		}
		var wait time.Duration
		err := b.do(func(ch *commandChange) error {
			wait = ch.expire()
			return nil
		})
		if err != nil {
			wait = expireLatest
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		soon = false
	}
}

// expire settles what is overdue and returns how long there is nothing to do; 0: until something is sent.
func (ch *commandChange) expire() (wait time.Duration) {
	b := ch.book
	if b.open == 0 {
		return 0
	}
	next := ch.now.Add(expireLatest)
	for _, d := range b.devices {
		for _, c := range d.overdue(ch.now, &next) {
			edit := notInTime
			if ch.now.Before(c.Created) {
				edit = func(c *Command) {
					c.Text = "the machine has restarted with its clock set back: how old it is cannot be told"
				}
			} else if c.State == CommandSent {
				edit = func(c *Command) { c.Text = "the device did not answer in time" }
			}
			ch.apply(c, eventTimeout, theHub, edit)
		}
	}
	return max(next.Sub(ch.now), expireSoonest)
}

// overdue returns the commands whose time is over, and lowers next to when the next ones' is.
func (d *deviceCommands) overdue(now time.Time, next *time.Time) (list []*Command) {
	for _, commands := range [][]*Command{d.queued, d.sent} {
		for _, c := range commands {
			end := c.Deadline
			if c.State == CommandSent {
				end = c.answerBy()
			}
			// A clock that shows a time before the command was given does not say how long ago that was. It was set while the machine
			// was off, or it would be known by how much.
			if !now.Before(end) || c.Created.Sub(now) > leastClockAlarm {
				list = append(list, c)
			} else if end.Before(*next) {
				*next = end
			}
		}
	}
	return list
}

// answerBy is when a command that was sent becomes unknown.
func (c *Command) answerBy() time.Time {
	if most := c.Sent.Add(mostAnswerTime); most.Before(c.Deadline.Add(answerTime)) {
		return most
	}
	return c.Deadline.Add(answerTime)
}

// forgetCommands gives up what still waits for a device that is removed, and what it was to be set to.
func (s *Store) forgetCommands(id string) error {
	return s.commands.do(func(ch *commandChange) error {
		ch.announced[id] = device.Hash{}
		delete(s.commands.newest, id)
		d := ch.touch(id)
		for _, c := range append(append([]*Command(nil), d.queued...), d.sent...) {
			event := eventCancel
			if c.State == CommandSent {
				event = eventTimeout
			}
			ch.apply(c, event, theHub, func(c *Command) { c.Text = "the device was removed" })
		}
		if len(d.settings) > 0 {
			for _, old := range d.settings {
				ch.settings = append(ch.settings, cleared(old, theHub, ch.now))
			}
			clear(d.settings)
			ch.set[id] = true
		}
		delete(ch.book.devices, id)
		return nil
	})
}
