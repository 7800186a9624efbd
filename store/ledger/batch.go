package ledger

import (
	"errors"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var errNoSchema = errors.New("store: a frame before its schema")

// batch is what one commit writes. The one being filled is guarded by Ledger.mu; once taken it belongs to the committer, and then
// to the goroutine that acknowledges it.
type batch struct {
	number  uint64    // counts batches from 1
	segment uint64    // counts segments; sources are defined anew in each
	rotate  bool      // begins its segment
	opened  time.Time // when its first entry came
	began   wallclock.Moment
	entries []byte          // journal entries
	count   int             // of entries
	ingests []*Ingest       // those it settles something for
	repeats []*account      // those with duplicates to be recorded
	sources []*tail.Source  // defined in it
	move    *tail.ClockMove // its first entry, if the clock was set before it was opened
	letters []DeadLetter    // rejected frames; Position is the index in the batch until the commit
	scratch []byte          // for one entry
}

func (b *batch) empty() bool { return b.count == 0 && len(b.ingests) == 0 }

func (b *batch) append(entry []byte) {
	b.entries = journal.AppendEntry(b.entries, entry)
	b.count++
}

// reset empties the batch and keeps its memory, except for that of the entries, which has gone to those who read them.
func (b *batch) reset() {
	clear(b.ingests)
	clear(b.repeats)
	*b = batch{ingests: b.ingests[:0], repeats: b.repeats[:0], scratch: b.scratch}
}
