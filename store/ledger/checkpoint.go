package ledger

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
	checkpointLetters = 256     // dead letters waiting to be written
)

// checkpoint is what hub.db needs in order to know the books up to a journal position, which is the end of a batch.
type checkpoint struct {
	cursor    uint64
	accounts  []*account // those in records
	records   [][]byte
	boots     [][]byte // bootsRecords of the same accounts
	clock     []byte   // clockRecord
	forgotten []string
	outages   *outages.Snapshot
	sources   tail.SourceChange
	askers    []chan error
}

// checkpointDue says whether a checkpoint should be made with the next batch. Only one is under way at a time.
func (c *committer) checkpointDue() bool {
	if len(c.idle) == 0 {
		return false
	}
	c.mu.Lock()
	letters := len(c.letters.list)
	c.mu.Unlock()
	since := time.Since(c.lastCheckpoint)
	return len(c.askers) > 0 || c.db.Damaged() || c.sinceBytes >= min(checkpointBytes, c.opts.MaxBytes/4) || since >= checkpointEvery ||
		letters >= checkpointLetters && since >= time.Second
}

// snapshot records the accounts that changed since the last one. mu is held, and no frame has come since the batch
// was taken.
func (l *Ledger) snapshot() *checkpoint {
	cp := &checkpoint{forgotten: l.forgotten}
	l.forgotten = nil
	for _, a := range l.accounts {
		if !a.dirty {
			continue
		}
		a.dirty = false
		cp.accounts = append(cp.accounts, a)
		cp.records = append(cp.records, a.record())
		cp.boots = append(cp.boots, a.bootsRecord(l.machine))
	}
	cp.outages = l.outages.Snapshot()
	return cp
}

// pass completes a checkpoint whose batch is on disk, and hands it to the goroutine that writes hub.db.
func (c *committer) pass(cp *checkpoint) {
	cp.cursor = c.journal.Next()
	cp.askers, c.askers = c.askers, nil
	cp.clock = c.ages.Load().record()
	cp.sources = c.opts.Sources.TakeChange()
	c.lastCheckpoint, c.sinceBytes = time.Now(), 0
	<-c.idle
	c.checkpoints <- cp
}

// writeCheckpoints writes checkpoints to hub.db. What a failed one held goes into the next. If hub.db turns out damaged it calls
// end and returns the error, but not before the committer has ended too.
func (l *Ledger) writeCheckpoints(end func()) (damaged error) {
	for cp := range l.checkpoints {
		err := l.save(cp)
		if errors.Is(err, boltfile.ErrDamaged) && damaged == nil {
			damaged = fmt.Errorf("hub.db: %w", err)
			end()
		}
		l.mu.Lock()
		if err == nil {
			l.cursor = cp.cursor
		}
		for _, a := range cp.accounts {
			a.dirty = a.dirty || err != nil
		}
		if err != nil {
			l.forgotten = append(cp.forgotten, l.forgotten...)
		}
		l.mu.Unlock()
		if err != nil {
			cp.outages.Failed()
			l.opts.Sources.Returned(&cp.sources)
			l.alarms.Set("hub.db", "the books can't be written, they are kept by the journal meanwhile: "+err.Error())
		} else {
			l.opts.Sources.Saved(&cp.sources)
			l.alarms.Clear("hub.db")
		}
		l.idle <- struct{}{}
		for _, asker := range cp.askers {
			asker <- err
		}
	}
	return damaged
}

// save writes a checkpoint in one transaction.
func (l *Ledger) save(cp *checkpoint) error {
	return l.update(cp.cursor, func(tx *bbolt.Tx) error {
		books, boots, meta := tx.Bucket(hubdb.BucketBooks), tx.Bucket(hubdb.BucketBoots), tx.Bucket(hubdb.BucketMeta)
		for _, id := range cp.forgotten {
			if err := errors.Join(books.Delete([]byte(id)), boots.Delete([]byte(id))); err != nil {
				return err
			}
		}
		for i, a := range cp.accounts {
			if err := hubdb.Put(books, []byte(a.device), cp.records[i]); err != nil {
				return err
			}
			if err := hubdb.PutChanged(boots, []byte(a.device), cp.boots[i]); err != nil {
				return err
			}
		}
		if err := hubdb.PutChanged(meta, hubdb.KeyClock, cp.clock); err != nil {
			return err
		}
		if err := cp.outages.Put(tx); err != nil {
			return err
		}
		if err := putSources(tx, &cp.sources, l.opts.SchemasInUse); err != nil {
			return err
		}
		return hubdb.Put(meta, hubdb.KeyCursor, hubdb.Key8(cp.cursor))
	})
}

// update runs f in a transaction with the sections of the other parts and the dead letters that belong to the books up to cursor.
// The sections come before the letters: a tail adds what was refused as letters before its section says that it has passed it.
func (l *Ledger) update(cursor uint64, f func(*bbolt.Tx) error) error {
	puts := []func(*bbolt.Tx) error{f}
	var done []func(error)
	for _, section := range l.opts.Sections {
		p, d := section()
		puts, done = append(puts, p), append(done, d)
	}
	l.mu.Lock()
	letters := l.letters.before(cursor)
	l.mu.Unlock()
	err := l.db.Update(func(tx *bbolt.Tx) error {
		for _, put := range puts {
			if err := put(tx); err != nil {
				return err
			}
		}
		return putLetters(tx, letters)
	})
	if err == nil {
		l.mu.Lock()
		l.letters.saved(letters)
		l.mu.Unlock()
	}
	for _, d := range done {
		d(err)
	}
	return err
}

// Checkpoint commits what was handed in and writes the books; it returns when both are on disk. Run must be running.
func (l *Ledger) Checkpoint() error {
	done := make(chan error, 1)
	select {
	case l.checkpointNow <- done:
	case <-l.stopped:
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-l.stopped:
		return ErrClosed
	}
}
