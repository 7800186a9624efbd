package ledger

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	maxShifts = 256 // the oldest is forgotten: its readings are then taken to be younger than they are, or of an unbelievable age

	// normalGap is for how long a hub may have been off that comes back with another boot of its machine. If it was longer, or the
	// clock was set meanwhile, and readings would be deleted for it, they are held back.
	normalGap = time.Hour

	// LeastClockAlarm is how far a clock has to be set to be worth an alarm: clocks are put right by a little all the time.
	LeastClockAlarm = 5 * time.Second
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

// apply returns when what came at a position was received, by the clock that the journal ends with.
func (a *ages) apply(position uint64, received time.Time) time.Time {
	for i := range a.shifts {
		if position < a.shifts[i].Position {
			received = received.Add(time.Duration(a.shifts[i].By) * time.Microsecond)
		}
	}
	return received
}

// ReceivedAt is when what came at a position of the journal was received, by the clock as it is now. The clock has to be read
// before: then it is counted, too, what has not got into the journal.
func (l *Ledger) ReceivedAt(position uint64, received time.Time) time.Time {
	a := l.ages.Load()
	if !a.known {
		return l.now() // it is young until that is clear
	}
	by := int64(0)
	if a.machine == l.wall.Machine() {
		by = l.wall.Base() - a.base
	}
	return time.UnixMicro(a.apply(position, received).UnixMicro() + by)
}

// tooOld tells whether something is past an age. What is said to have come before this program existed has an unknown age.
func tooOld(now, received time.Time, most time.Duration) bool {
	return most > 0 && now.Sub(received) > most && received.After(wallclock.Floor)
}

// checkHeld raises the alarm as long as something is held back.
func (l *Ledger) checkHeld() {
	var held *shift
	a := l.ages.Load()
	first := min(l.journal.First(), l.opts.History().OldestPosition())
	for i := range a.shifts {
		if s := &a.shifts[i]; s.Held != 0 && s.Position > first {
			held = s
		}
	}
	if held == nil {
		l.alarms.Clear("age limits")
		return
	}
	at, most := time.UnixMicro(held.Held), max(l.opts.MaxAge, l.opts.HistoryAge)
	l.alarms.Set("age limits", fmt.Sprintf("when the hub started at %s, %s seemed to have passed; whether it was off for so long or its clock was set cannot be told, "+
		"so what was received before is held back from the limits of age (max_age): it is counted as older only by the time that the hub runs, and is gone by %s; "+
		"to free its room earlier, lower max_bytes", wallclock.Text(at), days(time.Duration(held.By)*time.Microsecond+normalGap), wallclock.Text(at.Add(most))))
}

// utc is a moment in words.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
