package store

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
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
	outages     *outages.Snapshot
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
	cp.outages = s.Outages.Snapshot()
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
			cp.outages.Failed()
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
		s.Devices.RetryCopy()
		s.Accounts.RetryCopy()
		s.idle <- struct{}{}
		for _, asker := range cp.askers {
			asker <- err
		}
	}
	return damaged
}

// save writes a checkpoint in one transaction.
func (s *Store) save(cp *checkpoint) error {
	notes, schemas := s.Devices.TakeNotes(), s.Devices.Schemas()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		books := tx.Bucket(hubdb.BucketBooks)
		for _, id := range cp.forgotten {
			key := []byte(id)
			if err := errors.Join(books.Delete(key), tx.Bucket(hubdb.BucketBoots).Delete(key)); err != nil {
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
		if err := cp.outages.Put(tx); err != nil {
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
		if err := notes.Put(tx); err != nil {
			return err
		}
		if cp.export != nil {
			if err := hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyExport, cp.export); err != nil {
				return err
			}
		}
		if err := s.Accounts.SaveUses(tx); err != nil {
			return err
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyCursor, hubdb.Key8(cp.cursor))
	})
	notes.Done(err)
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

// gapOf is a gap that a reader of the journal passed over.
func gapOf(g *tail.Gap) outages.Gap {
	return outages.Gap{First: g.First, Last: g.Last, Cause: g.Cause, SetAside: g.SetAside}.Between(g.From, g.To)
}
