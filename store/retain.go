package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

const (
	retainEvery = export.SampleEvery
	droppedFor  = time.Minute // how long an alarm stays after entries were dropped
)

// retain trims the journal until ctx ends.
func (s *Store) retain(ctx context.Context) {
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	s.Export.Sample()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.trimNow:
			s.trimAtOnce()
		case <-ticker.C:
			s.noteExported()
			s.trim()
			s.Export.Sample()
		}
	}
}

// trim drops the segments every tail has passed, and after them, while the journal is over its limits, the oldest ones.
func (s *Store) trim() {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	passed, limit := s.passed(), s.overLimit()
	if limit > s.history.Load().Cursor() {
		// What the history has read but not written would be nowhere if the hub died. An error shows in its tail.
		_ = s.history.Load().Flush(true)
		passed = s.passed()
	}
	before, had := max(passed, limit), s.journal.First()
	if _, err := s.journal.TrimBefore(before); err != nil {
		s.Alarms.Set("journal trim", "the journal can't give space back: "+err.Error())
		return
	}
	s.Alarms.Clear("journal trim")
	first := s.journal.First()
	s.Export.Drop(first)
	s.sources.Prune(first)
	switch {
	case first > max(passed, 1) && first > had: // positions begin at 1
		s.dropped = time.Now()
		s.Alarms.Raise("journal limit", fmt.Sprintf(
			"the journal reached its limit: entries before %d were dropped, and then more, although not everything had read them", first))
	case first <= passed && time.Since(s.dropped) >= droppedFor:
		s.Alarms.Clear("journal limit")
	}
}

// trimAtOnce drops what nobody needs, without waiting for the history and the books to be written for other reasons. It does so
// only when at least a segment may go: each time costs a write of both.
func (s *Store) trimAtOnce() {
	if len(s.journal.Segments()) > 1 && !s.space(s.opts.Dir).brimful() {
		_ = s.history.Load().Flush(true) // an error shows in its tail
		s.noteExported()
	}
	s.trim()
}

// passed is the position before which nobody needs the journal.
func (s *Store) passed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(s.cursor, s.history.Load().Cursor(), s.Export.Floor(), s.Tails.Held())
}

// noteExported has hub.db know how far the export is, when that lets a segment go at the next turn. It does not wait: on a
// full disk the committer may be busy until a segment has gone.
func (s *Store) noteExported() {
	segments := s.journal.Segments()
	if len(segments) < 2 {
		return
	}
	next := segments[0].Next
	if s.Export.Floor() < next && next <= s.Export.Reached() && next <= s.history.Load().Cursor() {
		select {
		case s.checkpointNow <- make(chan error, 1): // one that fails raises its own alarm
		default: // the committer is at work
			s.saveExport()
		}
	}
}

// saveExport has hub.db know how far the export is while the journal can't be written. Then there are no checkpoints, and what
// has been exported since the last one would hold the journal, which would have to be trimmed to be written again.
func (s *Store) saveExport() {
	s.mu.Lock()
	failing := s.failing.err != nil
	s.mu.Unlock()
	if !failing || len(s.idle) == 0 {
		return
	}
	<-s.idle
	defer func() { s.idle <- struct{}{} }()
	record, first := s.Export.Record() // before the letters, as in a checkpoint
	if record == nil {
		return
	}
	s.mu.Lock()
	letters, end := s.shelf.snapshot()
	s.mu.Unlock()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(saveLetters(tx, letters), hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyExport, record))
	})
	if err != nil {
		return // the next turn tries again
	}
	s.Export.Recorded(first)
	s.mu.Lock()
	s.shelf.saved(end)
	s.mu.Unlock()
}

// overLimit returns the position before which the journal has to be dropped to get within its limits.
func (s *Store) overLimit() (before uint64) {
	bytes, now := s.journal.Bytes(), s.now()
	segments := s.journal.Segments()
	for i, segment := range segments {
		tooMuch := bytes > s.opts.JournalMaxBytes
		old := tooOld(now, s.receivedAt(segment.Next-1, segment.Newest), s.opts.JournalMaxAge)
		if !tooMuch && !old || i == len(segments)-1 {
			return before
		}
		before = segment.Next
		bytes -= segment.Bytes
	}
	return before
}
