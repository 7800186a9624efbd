package tail

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

const (
	// windowBytes is how much of what was committed last is kept in memory for readers who have not read it yet.
	windowBytes = 4 << 20

	// Buffers that nobody needs any more are kept for the next batches, unless what was in them shows that they are too large.
	maxFree    = 8
	smallBytes = 64 << 10
)

// Log is the journal as readers see it: what was committed last is in memory, as long as somebody who is close behind has not read
// it, and what is before is read from the disk. Nobody waits for a reader: one that is too slow for the window goes on from the disk.
// The methods are safe for concurrent use.
type Log struct {
	// static
	journal *journal.Journal
	sources *Sources
	limit   int // bytes of window

	mu      sync.Mutex
	window  []*block // oldest first; each begins where the one before ends
	next    uint64   // the position behind what was published last; 0: nothing was
	bytes   int      // of window
	usual   int      // bytes of the batch published last
	free    [][]byte
	readers map[*Reader]struct{}
}

// block is what one commit wrote, in memory. It does not change.
type block struct {
	journal.Block
	next    uint64
	entries []byte
	held    int // by the window and by readers; guarded by Log.mu
}

// NewLog returns the log of a journal whose frames come from the sources.
func NewLog(j *journal.Journal, sources *Sources) *Log {
	return &Log{journal: j, sources: sources, limit: windowBytes, readers: map[*Reader]struct{}{}}
}

// First is the oldest position that the journal holds.
func (l *Log) First() uint64 { return l.journal.First() }

// Next is the position of the next entry that is committed.
func (l *Log) Next() uint64 { return l.journal.Next() }

// Publish hands readers what a commit has just written, and wakes them. The log keeps the entries: the caller gets the memory for
// the next ones from Buffer. Commits are published in order; one that is not is read from the disk.
func (l *Log) Publish(first uint64, count int, received time.Time, entries []byte) {
	received = time.UnixMicro(received.UnixMicro()) // as the journal has it
	b := &block{Block: journal.NewBlock(first, count, received, entries), next: first + uint64(count), entries: entries, held: 1}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != first {
		l.drop(len(l.window))
	}
	l.window = append(l.window, b)
	l.bytes += cap(entries)
	l.next, l.usual = b.next, len(entries)
	l.shrink()
	for r := range l.readers {
		notify.Signal(r.news)
	}
}

// Buffer returns empty memory for the entries of a batch.
func (l *Log) Buffer() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return make([]byte, 0, l.usual+l.usual/4)
}

// Held is the position before which no reader holds the journal.
func (l *Log) Held() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := uint64(math.MaxUint64)
	for r := range l.readers {
		held = min(held, r.hold)
	}
	return held
}

// shrink drops from the window what all who are close behind have read, and what is too much; mu is held.
func (l *Log) shrink() {
	if len(l.window) == 0 {
		return
	}
	read := l.next
	for r := range l.readers {
		if r.at >= l.window[0].First {
			read = min(read, r.at)
		}
	}
	n, bytes := 0, l.bytes
	for n < len(l.window) && (l.window[n].next <= read || bytes > l.limit) {
		bytes -= cap(l.window[n].entries)
		n++
	}
	l.drop(n)
}

// drop takes the oldest n blocks out of the window; mu is held.
func (l *Log) drop(n int) {
	for _, b := range l.window[:n] {
		l.bytes -= cap(b.entries)
		l.release(b)
	}
	l.window = slices.Delete(l.window, 0, n)
}

// release ends the use of a block by the window or by a reader; mu is held.
func (l *Log) release(b *block) {
	if b.held--; b.held > 0 {
		return
	}
	switch fits := cap(b.entries) <= max(smallBytes, 8*len(b.entries)); {
	case !fits: // a flood is over
		clear(l.free)
		l.free = l.free[:0]
	case len(l.free) < maxFree:
		l.free = append(l.free, b.entries[:0])
	}
}

// move gives a reader the block in memory that holds its position, instead of the one that it has held, if there is one. At the head
// there is nothing to be read. What was trimmed is not given: the disk is the measure of what there is.
func (l *Log) move(r *Reader) (b *block, head bool) {
	first := l.journal.First()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(r)
	r.at = r.position
	l.shrink()
	i, _ := slices.BinarySearchFunc(l.window, r.position, func(b *block, position uint64) int {
		if b.next <= position {
			return -1
		}
		return 1
	})
	if i == len(l.window) || l.window[i].First > r.position || r.position < first {
		return nil, r.position == l.next
	}
	r.shared = l.window[i]
	r.shared.held++
	return r.shared, false
}

// leave takes away from a reader the block in memory that it holds; mu is held.
func (l *Log) leave(r *Reader) {
	if r.shared != nil {
		l.release(r.shared)
		r.shared = nil
	}
}

func (l *Log) remove(r *Reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(r)
	delete(l.readers, r)
	l.shrink()
}
