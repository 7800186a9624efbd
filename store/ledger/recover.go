package ledger

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// load reads the last checkpoint.
func (l *Ledger) load() error {
	return l.db.View(func(tx *bbolt.Tx) error {
		l.db.One(tx, hubdb.BucketMeta, hubdb.KeyCursor, func(v []byte) error {
			cursor, ok := hubdb.ParseKey8(v)
			if !ok {
				return hubdb.ErrRecord
			}
			l.cursor = cursor
			return nil
		})
		err := l.db.Each(tx, hubdb.BucketBooks, func(k, v []byte) error {
			a, err := parseAccount(string(k), v)
			if err == nil {
				l.accounts[a.device] = a
			}
			return err
		})
		if err != nil {
			return err
		}
		if l.db.DamagedIn(hubdb.BucketBooks) {
			l.recount = l.uncounted()
		}
		return errors.Join(
			l.loadClock(tx),
			l.loadSources(tx),
			l.db.Each(tx, hubdb.BucketDeadLetters, func(k, v []byte) error {
				var letter DeadLetter
				return letter.decode(k, v)
			}),
		)
	})
}

// uncounted returns a function that says whether hub.db has no account of a device: one that had to be given up is made again
// from all that the journal still has.
func (l *Ledger) uncounted() func(deviceID string) bool {
	counted := map[string]bool{}
	for id := range l.accounts {
		counted[id] = true
	}
	return func(id string) bool { return !counted[id] }
}

// Recover brings the books to the end of the journal, which has just been opened, and of which tails is the log. It returns by how much
// the hub's clock was set since the journal was written last, 0 if it was not or that is not known.
func (l *Ledger) Recover(j *journal.Journal, tails *tail.Log, report *journal.Report) (clockSet time.Duration, err error) {
	l.journal, l.tails = j, tails
	newest, err := l.replay()
	if err != nil {
		return 0, fmt.Errorf("replay the journal: %w", err)
	}
	for _, d := range report.Damage {
		l.enterDamage(d, newest)
	}
	l.recount = nil
	l.outages.Recovered(l.lastReceived())
	for _, a := range l.accounts {
		a.writing, a.durable = a.counts, a.counts
	}
	l.filling = &batch{number: 1, segment: 1}
	if segments := j.Segments(); len(segments) > 0 {
		l.segmentUsed = segments[len(segments)-1].Bytes
	}
	return l.startClock(), nil
}

// lastReceived is when the last block of the journal was received; zero if there is none.
func (l *Ledger) lastReceived() (last time.Time) {
	for _, segment := range l.journal.Segments() {
		if segment.Newest.After(last) {
			last = segment.Newest
		}
	}
	return last
}

// replayTries is how often replay asks a disk that can't read: more often than it takes for a sector to count as damaged.
const replayTries = 10

// replay reads the journal from the segment in which the hindmost tail stands: the sources are defined there. It reads all of it
// when accounts, sources or what says how far they go and by which clock in hub.db were damaged. It returns the time of the last
// block.
func (l *Ledger) replay() (before time.Time, err error) {
	hindmost := min(l.cursor, l.opts.History().Cursor())
	if l.recount != nil || l.db.DamagedIn(hubdb.BucketSources) || l.db.DamagedIn(hubdb.BucketMeta) {
		hindmost = 0
	}
	from := l.journal.First()
	for _, segment := range l.journal.Segments() {
		if segment.First <= hindmost {
			from = segment.First
		}
	}
	if l.cursor > 0 && l.cursor < from {
		l.outages.EnterGap(outages.Gap{First: l.cursor, Last: from - 1, Cause: "gone from the journal before the books had it"})
	}
	r := l.tails.Reader(from)
	defer r.Close()
	var lost unreadable
	defer func() { lost.enter(l.outages) }()
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
			l.outages.EnterGap(outages.Missing(e.Gap))
		case e.Kind == tail.KindUnreadable:
			err = e.Err
		case e.Kind == tail.KindSource:
			err = l.replaySource(e)
		case e.Position >= l.cursor || l.recounted(e):
			err = l.replayEntry(e)
		}
		if err != nil {
			lost.add(e.Position, e.Received, err)
		}
	}
}

// recounted says whether an entry before the cursor belongs to a device whose account is made again, or tells of the clock by which
// that was, or hub.db may not know of that any more.
func (l *Ledger) recounted(e *tail.Entry) bool {
	if e.Kind == tail.KindClock {
		return l.recount != nil || l.db.DamagedIn(hubdb.BucketMeta)
	}
	if l.recount == nil {
		return false
	}
	return l.recount(e.Device)
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

// enter makes a gap of them.
func (u *unreadable) enter(log *outages.Log) {
	if u.count > 0 {
		log.EnterGap(outages.Gap{First: u.first, Last: u.last, Cause: fmt.Sprintf("%d entries among them can't be read: %v", u.count, u.err)}.Between(u.from, u.to))
	}
}

func (l *Ledger) replaySource(e *tail.Entry) error {
	src, err := tail.NewSource(e.Number, e.Device, e.Stream, slices.Clone(e.Message))
	if err != nil {
		return err
	}
	l.opts.Sources.Restore(src, e.Position, false)
	l.opts.Schemas.Put(src.Hash, src.Schema, src.Message)
	return nil
}

// replayEntry does to the books what was done when the entry was handed in.
func (l *Ledger) replayEntry(e *tail.Entry) error {
	switch e.Kind {
	case tail.KindFrame:
		return l.replayFrame(e)
	case tail.KindRemoval:
		l.forget(e.Device)
		return nil
	case tail.KindClock:
		l.outages.ReplayClock(l.moveBooks(e.Move))
		if a := l.ages.Load(); !a.knows(e.Position) {
			l.ages.Store(a.moved(e.Position, e.Move))
		}
		return nil
	}
	a := l.account(e.Device)
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
		if e.Position < l.cursor {
			return nil // hub.db got the letter then
		}
		l.letters.add([]DeadLetter{{
			Position: e.Position, Device: a.device, Received: e.Received, Seq: e.Seq, Code: uint8(e.Code),
			Text: e.Text, Message: slices.Clone(e.Message),
		}})
	case tail.KindLost:
		set := a.stream(e.Stream)
		l.lose(a, set, e.First, e.Last, e.Reason, e.Received)
		set.durable.AddRange(e.First, e.Last)
	case tail.KindDuplicates:
		a.duplicates += e.Count
	case tail.KindBoot:
		a.boot(e.Boot, e.Timing.Offset, l.ages.Load().machine)
	}
	return nil
}

func (l *Ledger) replayFrame(e *tail.Entry) error {
	d, err := e.Data()
	if err != nil {
		return err
	}
	a := l.account(e.Device)
	a.dirty = true
	set := a.stream(e.Source.Stream)
	set.durable.Add(d.Seq)
	highest := set.settled.Max()
	if set.settled.Add(d.Seq) {
		a.store(set, highest, d, e.Timing.Offset, e.Received.UnixMicro())
	}
	l.opts.NoteSchema(e.Device, e.Source.Hash)
	return nil
}

// enterDamage reports what the journal found at start: entries that are gone are a gap. Those at its end, which
// were acknowledged, were received after newest, and before now.
func (l *Ledger) enterDamage(d journal.Damage, newest time.Time) {
	if d.FirstMissing != 0 {
		g := outages.Gap{First: d.FirstMissing, Last: d.LastMissing, Cause: string(d.Kind) + " in " + d.Segment, SetAside: d.SetAside}
		if d.LastMissing+1 == l.journal.Next() {
			g.Cause = "acknowledged, and lost from the end of the journal (" + g.Cause + ")"
			g = g.Between(newest, l.now())
		}
		l.outages.EnterGap(g)
		return
	}
	l.log.Warn("the journal was mended", "segment", d.Segment, "kind", d.Kind, "bytes", d.Bytes, "set_aside", d.SetAside)
}
