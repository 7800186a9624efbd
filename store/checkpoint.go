package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

const (
	checkpointEvery   = 5 * time.Minute
	checkpointBytes   = 8 << 20 // of journal: what a start has to replay at most
	checkpointLetters = 256     // dead letters waiting to be shelved
)

// checkpoint is what hub.db needs in order to know the books up to a journal position.
type checkpoint struct {
	cursor      uint64
	accounts    []*account // those in records
	records     [][]byte
	boots       [][]byte // bootsRecords of the same accounts
	clock       []byte   // clockRecord
	forgotten   []string
	letters     []DeadLetter
	lettersEnd  uint64 // for shelf.saved
	sources     tail.SourceChange
	incidents   incidentNotes
	export      []byte // exportRecord; nil: as it was
	exportFirst uint64 // the lowest position in it
	askers      []chan error
}

// checkpointDue says whether a checkpoint should be made with the next batch. Only one is under way at a time.
func (c *committer) checkpointDue() bool {
	if len(c.idle) == 0 {
		return false
	}
	c.mu.Lock()
	letters := c.shelf.waiting()
	c.mu.Unlock()
	since := time.Since(c.lastCheckpoint)
	return len(c.askers) > 0 || c.db.Damaged() || c.sinceBytes >= min(checkpointBytes, c.opts.JournalMaxBytes/4) || since >= checkpointEvery ||
		letters >= checkpointLetters && since >= time.Second
}

// snapshot records the accounts that changed since the last one. Store.mu is held, and no frame has come since the batch
// was taken.
func (s *Store) snapshot() *checkpoint {
	cp := &checkpoint{forgotten: s.forgotten}
	s.forgotten = nil
	for _, a := range s.accounts {
		if !a.dirty {
			continue
		}
		a.dirty = false
		cp.accounts = append(cp.accounts, a)
		cp.records = append(cp.records, a.record())
		cp.boots = append(cp.boots, a.bootsRecord(s.booksMachine))
	}
	cp.incidents = s.noteIncidents()
	return cp
}

// pass completes a checkpoint whose batch is on disk, and hands it to the goroutine that writes hub.db.
func (c *committer) pass(cp *checkpoint) {
	cp.cursor = c.journal.Next()
	cp.askers, c.askers = c.askers, nil
	cp.clock = c.ages.Load().record()
	// Before the letters: the export shelves what was refused before it says that it has passed it.
	cp.export, cp.exportFirst = c.Export.Record()
	c.mu.Lock()
	cp.letters, cp.lettersEnd = c.shelf.snapshot()
	c.mu.Unlock()
	cp.sources = c.sources.TakeChange()
	c.lastCheckpoint, c.sinceBytes = time.Now(), 0
	<-c.idle
	c.checkpoints <- cp
}

// keepBooks writes checkpoints to hub.db. What a failed one held goes into the next. If hub.db turns out damaged it calls
// end and returns the error, but not before the committer has ended too.
func (s *Store) keepBooks(end func()) (damaged error) {
	for cp := range s.checkpoints {
		err := s.save(cp)
		if errors.Is(err, boltfile.ErrDamaged) && damaged == nil {
			damaged = fmt.Errorf("hub.db: %w", err)
			end()
		}
		s.mu.Lock()
		if err == nil {
			s.Export.Recorded(cp.exportFirst)
			s.cursor = cp.cursor
			s.shelf.saved(cp.lettersEnd)
		}
		for _, a := range cp.accounts {
			a.dirty = a.dirty || err != nil
		}
		if err != nil {
			cp.incidents.back()
			s.forgotten = append(cp.forgotten, s.forgotten...)
		}
		s.mu.Unlock()
		if err != nil {
			s.sources.Returned(&cp.sources)
			s.Alarms.Set("hub.db", "the books can't be written, they are kept by the journal meanwhile: "+err.Error())
		} else {
			s.sources.Saved(&cp.sources)
			s.Alarms.Clear("hub.db")
		}
		s.registry.copyAgain()
		s.access.copyAgain()
		s.idle <- struct{}{}
		for _, asker := range cp.askers {
			asker <- err
		}
	}
	return damaged
}

// save writes a checkpoint in one transaction.
func (s *Store) save(cp *checkpoint) error {
	s.registry.writing.Lock()
	defer s.registry.writing.Unlock()
	notes, schemas := s.registry.takeNotes(), s.registry.schemasInUse()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		books := tx.Bucket(hubdb.BucketBooks)
		for _, id := range cp.forgotten {
			key := []byte(id)
			if err := errors.Join(books.Delete(key), tx.Bucket(hubdb.BucketIncidents).Delete(key), tx.Bucket(hubdb.BucketBoots).Delete(key)); err != nil {
				return err
			}
		}
		for i, a := range cp.accounts {
			if err := hubdb.Put(books, []byte(a.device), cp.records[i]); err != nil {
				return err
			}
			if err := hubdb.PutChanged(tx.Bucket(hubdb.BucketBoots), []byte(a.device), cp.boots[i]); err != nil {
				return err
			}
		}
		if err := hubdb.PutChanged(tx.Bucket(hubdb.BucketMeta), hubdb.KeyClock, cp.clock); err != nil {
			return err
		}
		if err := cp.incidents.save(tx); err != nil {
			return err
		}
		if err := saveSources(tx, &cp.sources); err != nil {
			return err
		}
		if len(cp.sources.Remove) > 0 {
			if err := pruneSchemas(tx, schemas); err != nil {
				return err
			}
		}
		if err := saveLetters(tx, cp.letters); err != nil {
			return err
		}
		for i := range notes {
			if err := putDevice(tx, &notes[i]); err != nil {
				return err
			}
		}
		if cp.export != nil {
			if err := hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyExport, cp.export); err != nil {
				return err
			}
		}
		if err := s.access.saveUses(tx); err != nil {
			return err
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyCursor, hubdb.Key8(cp.cursor))
	})
	if err != nil {
		s.registry.returnNotes(notes)
	}
	return err
}

// Checkpoint commits what was handed in and writes the books; it returns when both are on disk. Run must be running.
func (s *Store) Checkpoint() error {
	done := make(chan error, 1)
	select {
	case s.checkpointNow <- done:
	case <-s.stopped:
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-s.stopped:
		return ErrClosed
	}
}

// Gap is a range of journal positions that can't be read any more, or that a tail never read.
type Gap struct {
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Cause    string    `json:"cause"`
	Tail     string    `json:"tail,omitempty"`      // the tail that misses it, if others had it
	SetAside string    `json:"set_aside,omitempty"` // where the damaged file is kept
	From     time.Time `json:"from,omitzero"`       // receipt of the entry before it; zero: not known
	To       time.Time `json:"to,omitzero"`         // receipt of the entry behind it; zero: not known
	Noticed  time.Time `json:"noticed"`
}

// between returns the gap with the times of receipt of its neighbours, if both are known.
func (g Gap) between(from, to time.Time) Gap {
	if !from.IsZero() && !to.IsZero() {
		g.From, g.To = from.UTC(), to.UTC()
	}
	return g
}

// damaged is the gap that a reader of the journal passed over.
func (s *Store) damaged(skipped journal.Gap) Gap {
	g := Gap{First: skipped.First, Last: skipped.Last, Cause: "damaged"}
	for _, d := range s.journal.Damage() {
		if d.FirstMissing <= g.Last && g.First <= d.LastMissing {
			g.Cause, g.SetAside = string(d.Kind)+" in "+d.Segment, d.SetAside
		}
	}
	return g
}

// enterGap puts a gap into the books, and raises an alarm.
func (s *Store) enterGap(g Gap) {
	s.mu.Lock()
	known := slices.ContainsFunc(s.gaps, func(old Gap) bool {
		timed := old.From.IsZero() && !g.From.IsZero() && old.First == g.First && old.Last == g.Last
		return old.First <= g.First && g.Last <= old.Last && (old.Tail == "" || old.Tail == g.Tail) && !timed
	})
	// A long outage drops segment after segment: that is one gap, growing.
	grown := slices.IndexFunc(s.gaps, func(old Gap) bool {
		return old.Last+1 == g.First && old.Tail == g.Tail && old.Cause == g.Cause && g.SetAside == ""
	})
	if grown >= 0 {
		g.First, g.From = s.gaps[grown].First, s.gaps[grown].From
	}
	s.mu.Unlock()
	if known {
		return
	}
	g.Noticed = s.now().UTC()
	s.mu.Lock()
	s.gaps = slices.DeleteFunc(s.gaps, func(old Gap) bool { return old.First == g.First && old.Tail == g.Tail && old.Last <= g.Last })
	s.gaps = append(s.gaps, g)
	merged, dropped := s.mergeGaps()
	s.mu.Unlock()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(hubdb.BucketGaps)
		for i := range dropped {
			if err := b.Delete(dropped[i].key()); err != nil {
				return err
			}
		}
		for _, g := range append(merged, g) {
			value, err := json.Marshal(g)
			if err != nil {
				return err
			}
			if err := hubdb.Put(b, g.key(), value); err != nil {
				return err
			}
		}
		return nil
	})
	s.Alarms.Set("gaps", s.gapText())
	if err != nil {
		s.log.Error("a gap could not be entered in hub.db", "first", g.First, "last", g.Last, "error", err)
	}
}

// maxGaps is how many gaps are kept apart.
const maxGaps = 256

func (g *Gap) key() []byte { return append(hubdb.Key8(g.First), g.Tail...) }

// mergeGaps makes one gap of the two oldest of a tail while there are too many; mu is held.
func (s *Store) mergeGaps() (merged, dropped []Gap) {
	for len(s.gaps) > maxGaps {
		oldest := s.gaps[0]
		i := slices.IndexFunc(s.gaps[1:], func(g Gap) bool { return g.Tail == oldest.Tail }) + 1
		if i == 0 { // the only one of its tail: another one's turn
			s.gaps = append(s.gaps[1:], oldest)
			continue
		}
		next := s.gaps[i]
		dropped = append(dropped, oldest, next)
		if next.First < oldest.First {
			oldest, next = next, oldest
		}
		oldest.Last = max(oldest.Last, next.Last)
		oldest = oldest.between(oldest.From, next.To)
		if !strings.HasPrefix(oldest.Cause, severalGaps) {
			oldest.Cause = severalGaps + oldest.Cause
		}
		s.gaps = slices.Delete(s.gaps, i, i+1)
		s.gaps[0] = oldest
		merged = []Gap{oldest}
	}
	return merged, dropped
}

const severalGaps = "several gaps, the first: "

func (s *Store) gapText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gaps[len(s.gaps)-1]
	text := fmt.Sprintf("journal entries %d to %d are missing: %s", g.First, g.Last, g.Cause)
	if g.SetAside != "" {
		text += "; the damaged file is kept as " + g.SetAside
	}
	if n := len(s.gaps) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d earlier gaps)", n)
	}
	return text
}
