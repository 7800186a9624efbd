package commands

import "time"

// base is the base of the clock that times are by, with this change.
func (ch *Change) base() int64 {
	if ch.moved != nil {
		return *ch.moved
	}
	return ch.book.times.Base()
}

// FollowClock moves the times of what may still change by as much as the clock was set: who had ten seconds left to do something,
// still has them.
func (b *Book) FollowClock() error {
	if b.times.Behind() == 0 && b.clockRecorded.Load() {
		return nil
	}
	return b.Do(func(ch *Change) error {
		ch.follow(b.Clock.Base())
		return nil
	})
}

func (ch *Change) follow(base int64) {
	by := time.Duration(base-ch.base()) * time.Microsecond
	ch.moved, ch.now = &base, ch.now.Add(by)
	if by == 0 {
		return
	}
	for id := range ch.book.devices {
		q := ch.touch(id)
		for _, list := range [][]*Command{q.queued, q.sent} {
			for i, c := range list {
				next := *c
				next.move(by)
				list[i], ch.commands[c.Number] = &next, &next
				ch.events = append(ch.events, next) // who shows how long is left has to know
			}
		}
	}
	if ch.book.extend.Moved != nil {
		ch.book.extend.Moved(ch, by)
	}
}
