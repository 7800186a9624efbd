package store

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	maxShifts = 256 // the oldest is forgotten: its readings are then taken to be younger than they are, or of an unbelievable age

	// normalGap is for how long a hub may have been off that comes back with another boot of its machine. If it was longer, or the
	// clock was set meanwhile, and readings would be deleted for it, they are held back.
	normalGap = time.Hour
)

// ages turns times of receipt into what they are by the clock as it is now. A value is not changed once it is in use.
type ages struct {
	known   bool // false: the journal has not been read yet
	machine uint64
	base    int64 // µs; see tail.ClockMove
	shifts  []shift
}

// shift says that what was received at an earlier position was received later, by the clock as it is now, than it says.
type shift struct {
	_        struct{} `cbor:",toarray"`
	Position uint64
	By       int64 // µs
	Held     int64 // µs since 1970: when it was held back, as its age is not known; 0: it is known
}

// clockRecord is ages in hub.db.
type clockRecord struct {
	_       struct{} `cbor:",toarray"`
	Machine uint64
	Base    int64
	Shifts  []shift
}

func (a *ages) record() []byte {
	return hubdb.Encode(&clockRecord{Machine: a.machine, Base: a.base, Shifts: a.shifts})
}

func parseAges(b []byte) (*ages, error) {
	var r clockRecord
	if err := cbor.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	return &ages{machine: r.Machine, base: r.Base, shifts: r.Shifts}, nil
}

// moved is what a is once the clock has moved at a position of the journal.
func (a *ages) moved(position uint64, m tail.ClockMove) *ages {
	next := &ages{known: a.known, machine: m.Machine, base: m.Base}
	for _, s := range a.shifts[max(0, len(a.shifts)-maxShifts+1):] {
		if s.Held != 0 {
			s.Held += m.By
		}
		next.shifts = append(next.shifts, s)
	}
	if m.By != 0 {
		next.shifts = append(next.shifts, shift{Position: position, By: m.By, Held: m.Held})
	}
	return next
}

// knows tells whether a counts a move of the clock at a position of the journal already: who reads the journal anew meets it again.
func (a *ages) knows(position uint64) bool {
	return len(a.shifts) > 0 && position <= a.shifts[len(a.shifts)-1].Position
}

// receivedAt is when what came at a position of the journal was received, by the clock as it is now. The clock has to be read
// before: then it is counted, too, what has not got into the journal.
func (s *Store) receivedAt(position uint64, received time.Time) time.Time {
	a := s.ages.Load()
	if !a.known {
		return s.now() // it is young until that is clear
	}
	by := int64(0)
	if a.machine == s.clock.Machine() {
		by = s.clock.Base() - a.base
	}
	for i := range a.shifts {
		if position < a.shifts[i].Position {
			by += a.shifts[i].By
		}
	}
	return time.UnixMicro(received.UnixMicro() + by)
}

// tooOld tells whether something is past an age. What is said to have come before this program existed has an unknown age.
func tooOld(now, received time.Time, most time.Duration) bool {
	return most > 0 && now.Sub(received) > most && received.After(wallclock.Floor)
}

// checkClock compares the clock at the start with the one that the journal ends with.
func (s *Store) checkClock() {
	now := s.now()
	a := *s.ages.Load()
	a.known = true
	m := tail.ClockMove{Machine: s.clock.Machine(), Base: s.clock.Base()}
	if a.machine != 0 && a.machine == m.Machine {
		m.By = m.Base - a.base
		if wallclock.Close(m.Base, a.base) {
			m.By = 0
		}
	} else {
		m.By, m.Held = s.jump(now)
	}
	first := a.machine == 0 && m.By == 0
	if a.machine == m.Machine && m.By == 0 || first {
		a.machine, a.base = m.Machine, m.Base
		s.books.Follow(m.Base)
		s.booksMachine = m.Machine
		s.ages.Store(&a)
		if first && m.Machine != 0 {
			// Not with the next checkpoint: killed before, the hub would not know the clock that the journal is by.
			err := s.db.Update(func(tx *bbolt.Tx) error {
				return hubdb.PutChanged(tx.Bucket(hubdb.BucketMeta), hubdb.KeyClock, a.record())
			})
			if err != nil {
				s.log.Error("the clock could not be entered in hub.db", "error", err)
			}
		}
		return
	}
	b := s.filling
	b.opened, b.began = now, s.clock.Moment()
	s.moveBooks(m)
	// It is in force at once: the limits of age may be looked at before it is in the journal.
	s.ages.Store(a.moved(s.journal.Next(), m))
	b.scratch = tail.AppendClock(b.scratch[:0], m)
	b.append(b.scratch)
	signal(s.work)
	if m.By != 0 && m.Held == 0 {
		s.clockSet(now, time.Duration(m.By)*time.Microsecond)
	}
}

// jump judges the time that seems to have passed since something was last received, when the machine may have booted since: only
// the clock says how long that was. It returns by how much the clock was set; held is not 0 when that is
// not known, and more than a normal hour brings would have to be deleted if it was not set at all.
func (s *Store) jump(now time.Time) (by, held int64) {
	var last time.Time
	for _, segment := range s.journal.Segments() {
		if !segment.Newest.IsZero() {
			last = s.ages.Load().apply(segment.Next-1, segment.Newest)
		}
	}
	gap := now.Sub(last)
	switch {
	case last.IsZero():
		return 0, 0
	case gap < -leastClockAlarm: // it was set back; how long the hub was off is not known
		return gap.Microseconds(), 0
	case last.Before(wallclock.Floor) && now.After(wallclock.Floor): // it was wrong
		return gap.Microseconds(), 0
	case gap > normalGap && s.wouldExpire(now, gap-normalGap):
		return (gap - normalGap).Microseconds(), now.UnixMicro()
	default:
		return 0, 0
	}
}

// wouldExpire tells whether something is too old that would not be if it had been received later by so much.
func (s *Store) wouldExpire(now time.Time, later time.Duration) bool {
	a := s.ages.Load()
	for _, segment := range s.journal.Segments() {
		at := a.apply(segment.Next-1, segment.Newest)
		if tooOld(now, at, s.opts.JournalMaxAge) && !tooOld(now, at.Add(later), s.opts.JournalMaxAge) {
			return true
		}
	}
	expired := false
	err := s.history.Load().EachReceipt(func(position uint64, received time.Time) (more bool) {
		at := a.apply(position, received)
		expired = tooOld(now, at, s.opts.HistoryMaxAge) && !tooOld(now, at.Add(later), s.opts.HistoryMaxAge)
		return !expired && tooOld(now, at, s.opts.HistoryMaxAge)
	})
	return expired || err != nil
}

func (a *ages) apply(position uint64, received time.Time) time.Time {
	for i := range a.shifts {
		if position < a.shifts[i].Position {
			received = received.Add(time.Duration(a.shifts[i].By) * time.Microsecond)
		}
	}
	return received
}

// checkHeld raises the alarm as long as something is held back.
func (s *Store) checkHeld() {
	var held *shift
	a := s.ages.Load()
	first := min(s.journal.First(), s.history.Load().OldestPosition())
	for i := range a.shifts {
		if sh := &a.shifts[i]; sh.Held != 0 && sh.Position > first {
			held = sh
		}
	}
	if held == nil {
		s.Alarms.Clear("age limits")
		return
	}
	at, most := time.UnixMicro(held.Held), max(s.opts.JournalMaxAge, s.opts.HistoryMaxAge)
	s.Alarms.Set("age limits", fmt.Sprintf("when the hub started at %s, %s seemed to have passed; whether it was off for so long or its clock was set cannot be told, "+
		"so what was received before is held back from the limits of age (max_age): it is counted as older only by the time that the hub runs, and is gone by %s; "+
		"to free its room earlier, lower max_bytes", utc(at), days(time.Duration(held.By)*time.Microsecond+normalGap), utc(at.Add(most))))
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// checkFloor raises the alarm while the clock is certainly wrong.
func (s *Store) checkFloor(now time.Time) {
	if now.After(wallclock.Floor) {
		s.Alarms.Clear("clock")
		return
	}
	s.Alarms.Set("clock", fmt.Sprintf("the hub's clock shows a year before this program was made (%d): times of readings that it decides are marked as doubtful "+
		"until it is right; set it, or let the machine get the time from the network (timedatectl)", now.UTC().Year()))
}
