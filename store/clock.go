package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	watchClockEvery = time.Second
	clockAlarmFor   = time.Hour       // after the clock was set
	leastClockAlarm = 5 * time.Second // what is less is only logged: clocks are put right by a little all the time
)

// bootsRecord says in hub.db which of a device's boots were measured in the present boot of the hub's machine: when the clock is
// set, their offsets change by as much.
type bootsRecord struct {
	_       struct{} `cbor:",toarray"`
	Machine uint64
	Boots   []uint64
}

func (a *account) bootsRecord(machine uint64) []byte {
	r := bootsRecord{Machine: machine}
	for i := range a.boots {
		if a.boots[i].machine == machine {
			r.Boots = append(r.Boots, a.boots[i].Boot)
		}
	}
	return hubdb.Encode(&r)
}

// loadClock reads what clock the books and the journal are of, up to the last checkpoint.
func (s *Store) loadClock(tx *bbolt.Tx) error {
	s.ages.Store(&ages{})
	s.db.One(tx, hubdb.BucketMeta, hubdb.KeyClock, func(v []byte) error {
		a, err := parseAges(v)
		if err == nil {
			s.ages.Store(a)
			s.books.Follow(a.base)
			s.booksMachine = a.machine
		}
		return err
	})
	return s.db.Each(tx, hubdb.BucketBoots, func(k, v []byte) error {
		var r bootsRecord
		if err := cbor.Unmarshal(v, &r); err != nil {
			return err
		}
		if a := s.accounts[string(k)]; a != nil {
			for i := range a.boots {
				if b := &a.boots[i]; slices.Contains(r.Boots, b.Boot) {
					b.machine = r.Machine
				}
			}
		}
		return nil
	})
}

// moveBooks has the books follow a clock that was set; mu is held, or Open is under way.
func (s *Store) moveBooks(m tail.ClockMove) {
	by := s.books.Follow(m.Base)
	if m.Machine != s.booksMachine {
		// What is known of an earlier boot of the machine is by the clock of then, which was put right then if it was wrong.
		s.booksMachine = m.Machine
		return
	}
	booted := m.Base - by.Microseconds() // by the clock of before
	for _, a := range s.accounts {
		for _, t := range []*tally{&a.tally, &a.writing, &a.durable} {
			if t.lastReceived >= booted && t.lastReceived != 0 {
				t.lastReceived += by.Microseconds()
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
	s.Outages.MoveConnections(by)
}

// utc is a moment in words.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// openBatch begins to fill a batch. The clock is set between two batches: what is in one, is by one clock. mu is held.
func (s *Store) openBatch(b *batch) {
	s.now() // the clock may have been set this moment
	base := s.clock.Base()
	b.began = s.clock.Moment()
	b.opened = time.UnixMicro(base + int64(b.began))
	if base == s.books.Base() {
		return
	}
	m := tail.ClockMove{Machine: s.clock.Machine(), Base: base, By: base - s.books.Base()}
	s.moveBooks(m)
	s.Outages.MoveRun(time.Duration(m.By) * time.Microsecond)
	b.move = &m
	b.scratch = tail.AppendClock(b.scratch[:0], m)
	b.append(b.scratch)
}

// watchClock has everything follow the clock when it is set, until ctx ends.
func (s *Store) watchClock(ctx context.Context) {
	ticker := time.NewTicker(watchClockEvery)
	defer ticker.Stop()
	var set time.Time // when the alarm was raised
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.clock.Noticed():
		}
		now := s.clock.Now()
		s.moveEmptyBatch()
		s.moveTimes()
		if by := s.told.Follow(s.clock.Base()); by != 0 {
			s.clockSet(now, by)
			set = time.Now()
		}
		if !set.IsZero() && time.Since(set) > clockAlarmFor {
			set = time.Time{}
			s.Alarms.Clear("clock set")
		}
		s.checkFloor(now)
		s.checkHeld()
	}
}

// moveEmptyBatch moves the books now, if no frame has come since the clock was set.
func (s *Store) moveEmptyBatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.books.Behind() != 0 && s.filling.empty() {
		s.openBatch(s.filling)
		signal(s.work)
	}
}

// clockSet raises the alarm, and tells everybody who keeps moments that the clock was set.
func (s *Store) clockSet(now time.Time, by time.Duration) {
	text := fmt.Sprintf("the hub's clock was set %s, from %s to %s", forwardOrBack(by), utc(now.Add(-by)), utc(now))
	if by.Abs() < leastClockAlarm {
		s.log.Info(text, "by", by)
	} else {
		s.Alarms.Set("clock set", text+
			": readings that came before keep their times, and nothing expired or was deleted for it; if this happens often, look at the machine's source of time (timedatectl)")
	}
	s.clockWatchers.Tell(struct{}{})
}

func forwardOrBack(by time.Duration) string {
	direction := "forward"
	if by < 0 {
		direction = "back"
	}
	if by = by.Abs(); by >= 48*time.Hour {
		return fmt.Sprintf("%s by %d days", direction, int(by.Hours()/24))
	}
	return fmt.Sprintf("%s by %v", direction, by.Round(time.Millisecond))
}

// Clock is the clock of the hub. Who keeps moments keeps a View of it, to be moved when WatchClock says so.
func (s *Store) Clock() *wallclock.Clock { return s.clock }

// WatchClock calls f after the clock was set. f must be quick. stop ends it, and may be called more than once.
func (s *Store) WatchClock(f func()) (stop func()) {
	return s.clockWatchers.Add(func(struct{}) { f() })
}

// moveTimes moves the times that something expires by.
func (s *Store) moveTimes() {
	for what, follow := range map[string]func() error{
		"commands": s.Commands.FollowClock, "sessions": s.Accounts.FollowClock, "tokens": s.Devices.FollowClock,
	} {
		if err := follow(); err != nil {
			s.log.Warn("times can't be moved to the clock that was set; it is tried again", "of", what, "error", err)
		}
	}
}
