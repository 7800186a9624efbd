package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// recover brings the books from the last checkpoint to the end of the journal.
func (s *Store) recover(report *journal.Report) error {
	newest, err := s.replay()
	if err != nil {
		return fmt.Errorf("replay the journal: %w", err)
	}
	for _, d := range report.Damage {
		s.enterDamage(d, newest)
	}
	s.recount = nil
	s.db.ForgetDamaged()
	s.Outages.Recovered(s.lastReceived())
	for _, a := range s.accounts {
		a.writing, a.durable = a.tally, a.tally
	}
	s.tail.next = max(s.history.Load().Cursor(), 1)
	s.tail.repair()
	s.filling = &batch{number: 1, segment: 1}
	if segments := s.journal.Segments(); len(segments) > 0 {
		s.segmentUsed = segments[len(segments)-1].Bytes
	}
	return nil
}

func (s *Store) loadCheckpoint() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		s.db.One(tx, hubdb.BucketMeta, hubdb.KeyCursor, func(v []byte) error {
			cursor, ok := hubdb.ParseKey8(v)
			if !ok {
				return hubdb.ErrRecord
			}
			s.cursor = cursor
			return nil
		})
		s.db.One(tx, hubdb.BucketMeta, hubdb.KeyExport, s.Export.Load)
		err := s.db.Each(tx, hubdb.BucketBooks, func(k, v []byte) error {
			a, err := parseAccount(string(k), v)
			if err == nil {
				s.accounts[a.device] = a
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.db.DamagedIn(hubdb.BucketBooks) {
			s.recount = s.uncounted()
		}
		if err := s.loadClock(tx); err != nil {
			return err
		}
		return s.db.Each(tx, hubdb.BucketSources, func(k, v []byte) error {
			var r sourceRecord
			number, ok := hubdb.ParseKey8(k)
			if err := cbor.Unmarshal(v, &r); err != nil || !ok {
				return errors.Join(err, hubdb.ErrRecord)
			}
			message := slices.Clone(hubdb.Get(tx.Bucket(hubdb.BucketSchemas), r.Hash[:]))
			src, err := tail.NewSource(number, r.Device, r.Stream, message)
			if err != nil {
				return err
			}
			s.sources.Restore(src, r.Position, true)
			return nil
		})
	})
}

// lastReceived is when the last block of the journal was received; zero if there is none.
func (s *Store) lastReceived() (last time.Time) {
	for _, segment := range s.journal.Segments() {
		if segment.Newest.After(last) {
			last = segment.Newest
		}
	}
	return last
}

// uncounted returns a function that says whether hub.db has no account of a device: one that had to be given up is made again
// from all that the journal still has.
func (s *Store) uncounted() func(deviceID string) bool {
	counted := map[string]bool{}
	for id := range s.accounts {
		counted[id] = true
	}
	return func(id string) bool { return !counted[id] }
}

// replayTries is how often replay asks a disk that can't read: more often than it takes for a sector to count as damaged.
const replayTries = 10

// replay reads the journal from the segment in which the hindmost tail stands: the sources are defined there. It reads all of it
// when accounts, sources or what says how far they go and by which clock in hub.db were damaged. It returns the time of the last
// block.
func (s *Store) replay() (before time.Time, err error) {
	hindmost := min(s.cursor, s.history.Load().Cursor())
	if s.recount != nil || s.db.DamagedIn(hubdb.BucketSources) || s.db.DamagedIn(hubdb.BucketMeta) {
		hindmost = 0
	}
	from := s.journal.First()
	for _, segment := range s.journal.Segments() {
		if segment.First <= hindmost {
			from = segment.First
		}
	}
	if s.cursor > 0 && s.cursor < from {
		s.Outages.EnterGap(outages.Gap{First: s.cursor, Last: from - 1, Cause: "gone from the journal before the books had it"})
	}
	r := s.Tails.Reader(from)
	defer r.Close()
	var lost unreadable
	defer func() { lost.enter(s) }()
	for tries := 0; ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return before, nil
		}
		if err != nil {
			if tries++; tries < replayTries {
				continue
			}
			return before, err
		}
		tries, before = 0, e.Received
		switch {
		case e.Kind == tail.KindGap:
			s.Outages.EnterGap(gapOf(e.Gap))
		case e.Kind == tail.KindUnreadable:
			err = e.Err
		case e.Kind == tail.KindSource:
			err = s.replaySource(e)
		case e.Position >= s.cursor || s.recounted(e):
			err = s.replayEntry(e)
		}
		if err != nil {
			lost.add(e.Position, e.Received, err)
		}
	}
}

// recounted says whether an entry before the cursor belongs to a device whose account is made again, or tells of the clock by which
// that was, or hub.db may not know of that any more.
func (s *Store) recounted(e *tail.Entry) bool {
	if e.Kind == tail.KindClock {
		return s.recount != nil || s.db.DamagedIn(hubdb.BucketMeta)
	}
	if s.recount == nil {
		return false
	}
	return s.recount(e.Device)
}

// unreadable is entries of sound blocks that nothing can be made of.
type unreadable struct {
	count       int
	first, last uint64
	from, to    time.Time
	err         error // the last one
}

func (u *unreadable) add(position uint64, received time.Time, err error) {
	if u.count == 0 {
		u.first, u.from = position, received
	}
	u.count++
	u.last, u.to, u.err = position, received, err
}

// enter puts them into the books.
func (u *unreadable) enter(s *Store) {
	if u.count > 0 {
		s.Outages.EnterGap(outages.Gap{First: u.first, Last: u.last, Cause: fmt.Sprintf("%d entries among them can't be read: %v", u.count, u.err)}.Between(u.from, u.to))
	}
}

func (s *Store) replaySource(e *tail.Entry) error {
	src, err := tail.NewSource(e.Number, e.Device, e.Stream, slices.Clone(e.Message))
	if err != nil {
		return err
	}
	s.sources.Restore(src, e.Position, false)
	s.schemas.Put(src.Hash, src.Schema, src.Message)
	return nil
}

// replayEntry does to the books what was done when the entry was handed in.
func (s *Store) replayEntry(e *tail.Entry) error {
	if e.Kind == tail.KindFrame {
		return s.replayFrame(e)
	}
	if e.Kind == tail.KindRemoval {
		s.forget(e.Device)
		return nil
	}
	if e.Kind == tail.KindClock {
		s.moveBooks(e.Move)
		if a := s.ages.Load(); !a.knows(e.Position) {
			s.ages.Store(a.moved(e.Position, e.Move))
		}
		return nil
	}
	a := s.account(e.Device)
	a.dirty = true
	switch e.Kind {
	case tail.KindReject:
		if e.Seq != 0 {
			set := a.stream(e.Stream)
			set.durable.Add(e.Seq)
			if !set.settled.Add(e.Seq) {
				return nil // counted already
			}
		}
		a.rejected++
		if e.Position < s.cursor {
			return nil // the letter was shelved then
		}
		s.shelf.add([]DeadLetter{{
			Position: e.Position, Device: a.device, Received: e.Received, Seq: e.Seq, Code: uint8(e.Code),
			Text: e.Text, Message: slices.Clone(e.Message),
		}})
	case tail.KindLost:
		set := a.stream(e.Stream)
		s.lose(a, set, e.First, e.Last, e.Reason, e.Received)
		set.durable.AddRange(e.First, e.Last)
	case tail.KindDuplicates:
		a.duplicates += e.Count
	case tail.KindBoot:
		a.boot(e.Boot, e.Timing.Offset, s.ages.Load().machine)
	}
	return nil
}

func (s *Store) replayFrame(e *tail.Entry) error {
	d, err := e.Data()
	if err != nil {
		return err
	}
	a := s.account(e.Device)
	a.dirty = true
	set := a.stream(e.Source.Stream)
	set.durable.Add(d.Seq)
	highest := set.settled.Max()
	if set.settled.Add(d.Seq) {
		a.frames++
		a.readings += uint64(d.Readings())
		set.stored(d, e.Timing.Offset, highest, a.lastData)
		a.newest(d, e.Timing.Offset, e.Received.UnixMicro())
	}
	s.Devices.NoteSchema(e.Device, e.Source.Hash)
	return nil
}

// enterDamage reports what the journal found at start: entries that are gone go into the books as a gap. Those at its end, which
// were acknowledged, were received after newest, and before now.
func (s *Store) enterDamage(d journal.Damage, newest time.Time) {
	if d.FirstMissing != 0 {
		g := outages.Gap{First: d.FirstMissing, Last: d.LastMissing, Cause: string(d.Kind) + " in " + d.Segment, SetAside: d.SetAside}
		if d.LastMissing+1 == s.journal.Next() {
			g.Cause = "acknowledged, and lost from the end of the journal (" + g.Cause + ")"
			g = g.Between(newest, s.now())
		}
		s.Outages.EnterGap(g)
		return
	}
	s.log.Warn("the journal was mended", "segment", d.Segment, "kind", d.Kind, "bytes", d.Bytes, "set_aside", d.SetAside)
}
