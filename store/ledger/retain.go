package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"go.etcd.io/bbolt"
)

const (
	retainEvery = 5 * time.Second
	droppedFor  = time.Minute // how long an alarm stays after entries were dropped
)

// retain trims the journal until ctx ends.
func (l *Ledger) retain(ctx context.Context) {
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.trimNow:
			l.trimAtOnce()
		case <-ticker.C:
			l.Trim()
		}
	}
}

// Trim gives back what the journal need not keep any more. The ledger itself does so every few seconds.
func (l *Ledger) Trim() {
	l.recordTails()
	l.trim()
}

// TrimSoon has the journal trimmed without waiting for the next turn.
func (l *Ledger) TrimSoon() { notify.Signal(l.trimNow) }

// trim drops the segments every tail has passed, and after them, while the journal is over its limits, the oldest ones.
func (l *Ledger) trim() {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	passed, limit := l.passed(), l.overLimit()
	if limit > l.opts.History().Cursor() {
		// What the history has read but not written would be nowhere if the hub died. An error shows in its tail.
		_ = l.opts.History().Flush(true)
		passed = l.passed()
	}
	before, had := max(passed, limit), l.journal.First()
	if _, err := l.journal.TrimBefore(before); err != nil {
		l.alarms.Set("journal trim", "the journal can't give space back: "+err.Error())
		return
	}
	l.alarms.Clear("journal trim")
	first := l.journal.First()
	for _, t := range l.opts.Durable {
		t.Drop(first)
	}
	l.opts.Sources.Prune(first)
	switch {
	case first > max(passed, 1) && first > had: // positions begin at 1
		l.dropped = time.Now()
		l.alarms.Raise("journal limit", fmt.Sprintf(
			"the journal reached its limit: entries before %d were dropped, and then more, although not everything had read them", first))
	case first <= passed && time.Since(l.dropped) >= droppedFor:
		l.alarms.Clear("journal limit")
	}
}

// trimAtOnce drops what nobody needs, without waiting for the history and the books to be written for other reasons. It does so
// only when at least a segment may go: each time costs a write of both.
func (l *Ledger) trimAtOnce() {
	if len(l.journal.Segments()) > 1 && !l.opts.Space(l.opts.Dir).Exhausted() {
		_ = l.opts.History().Flush(true) // an error shows in its tail
		l.recordTails()
	}
	l.trim()
}

// passed is the position before which nobody needs the journal.
func (l *Ledger) passed() uint64 {
	passed := min(l.Cursor(), l.opts.History().Cursor(), l.tails.Held())
	for _, t := range l.opts.Durable {
		passed = min(passed, t.Floor())
	}
	return passed
}

// recordTails has hub.db know how far the tails are, when that lets a segment go at the next turn. It does not wait: on a
// full disk the committer may be busy until a segment has gone.
func (l *Ledger) recordTails() {
	segments := l.journal.Segments()
	if len(segments) < 2 {
		return
	}
	next := segments[0].Next
	if l.opts.History().Cursor() < next {
		return
	}
	behind := false
	for _, t := range l.opts.Durable {
		if t.Reached() < next {
			return
		}
		behind = behind || t.Floor() < next
	}
	if !behind {
		return
	}
	select {
	case l.checkpointNow <- make(chan error, 1): // one that fails raises its own alarm
	default: // the committer is at work
		l.saveTails()
	}
}

// saveTails has hub.db know how far the tails are while the journal can't be written. Then there are no checkpoints, and what
// they have passed since the last one would hold the journal, which would have to be trimmed to be written again.
func (l *Ledger) saveTails() {
	l.mu.Lock()
	failing, cursor := l.failing.err != nil, l.cursor
	l.mu.Unlock()
	if !failing || len(l.idle) == 0 {
		return
	}
	<-l.idle
	defer func() { l.idle <- struct{}{} }()
	_ = l.update(cursor, func(*bbolt.Tx) error { return nil }) // the next turn tries again
}

// overLimit returns the position before which the journal has to be dropped to get within its limits.
func (l *Ledger) overLimit() (before uint64) {
	bytes, now := l.journal.Bytes(), l.now()
	segments := l.journal.Segments()
	for i, segment := range segments {
		tooMuch := bytes > l.opts.MaxBytes
		old := tooOld(now, l.ReceivedAt(segment.Next-1, segment.Newest), l.opts.MaxAge)
		if !tooMuch && !old || i == len(segments)-1 {
			return before
		}
		before = segment.Next
		bytes -= segment.Bytes
	}
	return before
}
