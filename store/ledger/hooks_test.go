package ledger

import (
	"context"
	"testing"
)

// What the tests need besides what the package exports.

// ByHand commits for a ledger that does not run.
type ByHand struct{ c *committer }

// ByHand returns a committer that works until the test ends.
func (l *Ledger) ByHand(t *testing.T) ByHand {
	c := newCommitter(l)
	go c.acknowledge()
	t.Cleanup(func() { close(c.written) })
	return ByHand{c}
}

// Commit writes the batch being filled.
func (h ByHand) Commit(ctx context.Context) error { return h.c.commit(ctx) }

// GoOnElsewhere does what follows a failed write: it begins a segment and defines the sources there.
func (h ByHand) GoOnElsewhere() error {
	if err := h.c.journal.Rotate(); err != nil {
		return err
	}
	return h.c.defineAgain()
}

// Fail has the journal count as one that can't be written.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing.err = err
}

// SaveTails has hub.db know how far the tails are if the journal can't be written.
func (l *Ledger) SaveTails() { l.saveTails() }

// SetSegmentBytes sets the size of segments, before Run.
func (l *Ledger) SetSegmentBytes(bytes int64) { l.segmentBytes = bytes }

// HoldHistory has the history stand still as long as hold says, before Run.
func (l *Ledger) HoldHistory(hold func() bool) {
	read := l.opts.HistoryRead
	l.opts.HistoryRead = func() (uint64, bool) {
		if hold() {
			return 1, true
		}
		return read()
	}
}

// FlushHistory has the history write what it holds in memory.
func (l *Ledger) FlushHistory() error { return l.opts.History().Flush(true) }

// Follows tells whether the books are by the clock as it is, and nothing waits for a commit.
func (l *Ledger) Follows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock.Behind() == 0 && l.filling.empty()
}
