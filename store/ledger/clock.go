package ledger

import (
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// loadClock reads what clock the books and the journal are of, up to the last checkpoint.
func (l *Ledger) loadClock(tx *bbolt.Tx) error {
	l.db.One(tx, hubdb.BucketMeta, hubdb.KeyClock, func(v []byte) error {
		a, err := parseAges(v)
		if err == nil {
			l.ages.Store(a)
			l.clock.Follow(a.base)
			l.machine = a.machine
		}
		return err
	})
	return l.db.Each(tx, hubdb.BucketBoots, func(k, v []byte) error {
		var r bootsRecord
		if err := cbor.Unmarshal(v, &r); err != nil {
			return err
		}
		if a := l.accounts[string(k)]; a != nil {
			for i := range a.boots {
				if b := &a.boots[i]; slices.Contains(r.Boots, b.Boot) {
					b.machine = r.Machine
				}
			}
		}
		return nil
	})
}

// moveBooks has the books follow a clock that was set, and returns by how much what is of this boot of the machine has moved; mu is
// held, or Recover is under way.
func (l *Ledger) moveBooks(m tail.ClockMove) (by time.Duration) {
	by = l.clock.Follow(m.Base)
	if m.Machine != l.machine {
		// What is known of an earlier boot of the machine is by the clock of then, which was put right then if it was wrong.
		l.machine = m.Machine
		return 0
	}
	booted := m.Base - by.Microseconds() // by the clock of before
	for _, a := range l.accounts {
		for _, c := range []*counts{&a.counts, &a.writing, &a.durable} {
			if c.lastReceived >= booted && c.lastReceived != 0 {
				c.lastReceived += by.Microseconds()
				a.dirty = true
			}
		}
		for i := range a.boots {
			if b := &a.boots[i]; b.machine == m.Machine {
				b.Offset += by.Microseconds()
				a.dirty = true
			}
		}
	}
	return by
}

// openBatch begins to fill a batch. The clock is set between two batches: what is in one, is by one clock. mu is held.
func (l *Ledger) openBatch(b *batch) {
	l.now() // the clock may have been set this moment
	base := l.wall.Base()
	b.began = l.wall.Moment()
	b.opened = time.UnixMicro(base + int64(b.began))
	if base == l.clock.Base() {
		return
	}
	m := tail.ClockMove{Machine: l.wall.Machine(), Base: base, By: base - l.clock.Base()}
	l.moveBooks(m)
	l.outages.FollowClock(base)
	b.move = &m
	b.scratch = tail.AppendClock(b.scratch[:0], m)
	b.append(b.scratch)
}

// FollowClock has the books follow the clock now, if it was set and no frame has come since, and sees to the alarm about what is held
// back from the limits of age.
func (l *Ledger) FollowClock() {
	l.mu.Lock()
	if l.clock.Behind() != 0 && l.filling.empty() {
		l.openBatch(l.filling)
		notify.Signal(l.work)
	}
	l.mu.Unlock()
	l.checkHeld()
}

// startClock compares the clock at the start with the one that the journal ends with. It returns by how much it was set, 0 if it was
// not or that is not known.
func (l *Ledger) startClock() (set time.Duration) {
	now := l.now()
	a := *l.ages.Load()
	a.known = true
	m := tail.ClockMove{Machine: l.wall.Machine(), Base: l.wall.Base()}
	l.outages.FollowClock(m.Base)
	if a.machine != 0 && a.machine == m.Machine {
		m.By = m.Base - a.base
		if wallclock.Close(m.Base, a.base) {
			m.By = 0
		}
	} else {
		m.By, m.Held = l.jump(now)
	}
	first := a.machine == 0 && m.By == 0
	if a.machine == m.Machine && m.By == 0 || first {
		a.machine, a.base = m.Machine, m.Base
		l.clock.Follow(m.Base)
		l.machine = m.Machine
		l.ages.Store(&a)
		if first && m.Machine != 0 {
			// Not with the next checkpoint: killed before, the hub would not know the clock that the journal is by.
			err := l.db.Update(func(tx *bbolt.Tx) error {
				return hubdb.PutChanged(tx.Bucket(hubdb.BucketMeta), hubdb.KeyClock, a.record())
			})
			if err != nil {
				l.log.Error("the clock could not be entered in hub.db", "error", err)
			}
		}
		return 0
	}
	b := l.filling
	b.opened, b.began = now, l.wall.Moment()
	l.moveBooks(m)
	// It is in force at once: the limits of age may be looked at before it is in the journal.
	l.ages.Store(a.moved(l.journal.Next(), m))
	b.scratch = tail.AppendClock(b.scratch[:0], m)
	b.append(b.scratch)
	notify.Signal(l.work)
	if m.Held != 0 {
		return 0
	}
	return time.Duration(m.By) * time.Microsecond
}

// jump judges the time that seems to have passed since something was last received, when the machine may have booted since: only
// the clock says how long that was. It returns by how much the clock was set; held is not 0 when that is
// not known, and more than a normal hour brings would have to be deleted if it was not set at all.
func (l *Ledger) jump(now time.Time) (by, held int64) {
	var last time.Time
	for _, segment := range l.journal.Segments() {
		if !segment.Newest.IsZero() {
			last = l.ages.Load().apply(segment.Next-1, segment.Newest)
		}
	}
	gap := now.Sub(last)
	switch {
	case last.IsZero():
		return 0, 0
	case gap < -LeastClockAlarm: // it was set back; how long the hub was off is not known
		return gap.Microseconds(), 0
	case last.Before(wallclock.Floor) && now.After(wallclock.Floor): // it was wrong
		return gap.Microseconds(), 0
	case gap > normalGap && l.wouldExpire(now, gap-normalGap):
		return (gap - normalGap).Microseconds(), now.UnixMicro()
	default:
		return 0, 0
	}
}

// wouldExpire tells whether something is too old that would not be if it had been received later by so much.
func (l *Ledger) wouldExpire(now time.Time, later time.Duration) bool {
	a := l.ages.Load()
	for _, segment := range l.journal.Segments() {
		at := a.apply(segment.Next-1, segment.Newest)
		if tooOld(now, at, l.opts.MaxAge) && !tooOld(now, at.Add(later), l.opts.MaxAge) {
			return true
		}
	}
	expired := false
	err := l.opts.History().EachReceipt(func(position uint64, received time.Time) (more bool) {
		at := a.apply(position, received)
		expired = tooOld(now, at, l.opts.HistoryAge) && !tooOld(now, at.Add(later), l.opts.HistoryAge)
		return !expired && tooOld(now, at, l.opts.HistoryAge)
	})
	return expired || err != nil
}
