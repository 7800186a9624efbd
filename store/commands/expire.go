package commands

import (
	"context"
	"time"
)

const (
	// A command that was sent is unknown so long after its deadline, or after it was sent, whichever comes first.
	answerTime     = 5 * time.Second
	mostAnswerTime = 5 * time.Minute

	// A clock that shows an earlier time than that at which a command was given was set back; what is less was put right by a little.
	leastSetBack = 5 * time.Second

	// Deadlines are looked at no more often than the first, and no more seldom than the second: the clock of a test may jump.
	expireSoonest = 20 * time.Millisecond
	expireLatest  = time.Second
)

// Run settles what nothing has come of in time, until ctx ends.
func (b *Book) Run(ctx context.Context) {
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
		wait, err := b.Expire()
		if err != nil {
			wait = expireLatest
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		soon = false
	}
}

// Expire settles what is overdue, and returns how long there is nothing to do; 0: until something is sent. Run calls it.
func (b *Book) Expire() (wait time.Duration, err error) {
	err = b.Do(func(ch *Change) error {
		wait = ch.expire()
		return nil
	})
	return wait, err
}

// expire settles what is overdue and returns how long there is nothing to do; 0: until something is sent.
func (ch *Change) expire() (wait time.Duration) {
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
			} else if c.State == Sent {
				edit = func(c *Command) { c.Text = "the device did not answer in time" }
			}
			ch.apply(c, eventTimeout, byHub, edit)
		}
	}
	return max(next.Sub(ch.now), expireSoonest)
}

// overdue returns the commands whose time is over, and lowers next to when the next ones' is.
func (d *queues) overdue(now time.Time, next *time.Time) (list []*Command) {
	for _, commands := range [][]*Command{d.queued, d.sent} {
		for _, c := range commands {
			end := c.Deadline
			if c.State == Sent {
				end = c.answerBy()
			}
			// A clock that shows a time before the command was given does not say how long ago that was. It was set while the machine
			// was off, or it would be known by how much.
			if !now.Before(end) || c.Created.Sub(now) > leastSetBack {
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
