package store

import (
	"context"
	"fmt"
	"time"
)

const retainEvery = 5 * time.Second

// retain trims the journal until ctx ends.
func (s *Store) retain(ctx context.Context) {
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	s.export.sample()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.noteExported()
			s.trim()
			s.export.sample()
		}
	}
}

// trim drops the segments every tail has passed, and after them, while the journal is over its limits, the oldest ones.
func (s *Store) trim() {
	passed, limit := s.passed(), s.overLimit()
	if limit > s.history.Load().Cursor() {
		// What the history has read but not written would be nowhere if the hub died. An error shows in its tail.
		_ = s.history.Load().Flush(true)
		passed = s.passed()
	}
	before := max(passed, limit)
	if _, err := s.journal.TrimBefore(before); err != nil {
		s.alarms.set("journal trim", "the journal can't give space back: "+err.Error())
		return
	}
	s.alarms.clear("journal trim")
	first := s.journal.First()
	s.export.drop(first)
	s.mu.Lock()
	s.sources.prune(first)
	s.mu.Unlock()
	if first > max(passed, 1) { // positions begin at 1
		s.alarms.set("journal limit", fmt.Sprintf(
			"the journal reached its limit: entries before %d were dropped although not everything had read them", first))
	} else {
		s.alarms.clear("journal limit")
	}
}

// passed is the position before which nobody needs the journal.
func (s *Store) passed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(s.cursor, s.history.Load().Cursor(), s.export.floor())
}

// noteExported has hub.db know how far the export is, when that lets a segment go at the next turn. It does not wait: on a
// full disk the committer may be busy until a segment has gone.
func (s *Store) noteExported() {
	segments := s.journal.Segments()
	if len(segments) < 2 {
		return
	}
	next := segments[0].Next
	if s.export.floor() < next && next <= s.export.reached() && next <= s.history.Load().Cursor() {
		select {
		case s.checkpointNow <- make(chan error, 1): // one that fails raises its own alarm
		default: // the committer is at work
		}
	}
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
