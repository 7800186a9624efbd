package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// historyName is how the status and the gaps call this tail.
const historyName = outages.HistoryTail

const (
	flushEvery = 5 * time.Second // how often the history is asked to write what is due
	retryTail  = 2 * time.Second // after a failed write
)

// historyTail reads the journal behind the committer and feeds the history.
type historyTail struct {
	store *Store
	news  chan struct{} // capacity 1: the journal has grown
	read  time.Time     // receipt of the block read last; owned by run

	// owned by repair
	damaged int       // blocks that are known to be damaged
	rebuilt int       // blocks that were made again
	again   time.Time // when to try again to make blocks again; zero: what can be done has been done

	mu      sync.Mutex
	next    uint64        // the position it reads next
	moved   chan struct{} // closed, and replaced, when next moves
	stopped bool
	err     error // why it can't go on at the moment
}

func (t *historyTail) wake() { signal(t.news) }

// run reads until ctx ends, and then what is left.
func (t *historyTail) run(ctx context.Context) {
	defer t.stop()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	r := t.store.journal.Reader(t.history().Cursor())
	defer func() { r.Close() }()
	for {
		end := t.store.journal.Next()
		block, err := r.Next()
		var trimmed *journal.TrimmedError
		switch {
		case err == nil:
			err = t.block(ctx, &block)
		case errors.As(err, &trimmed):
			t.store.Outages.EnterGap(t.dropped(trimmed.First))
			t.history().SkipTo(trimmed.First)
			t.advance(trimmed.First, nil)
			r.Close()
			r = t.store.journal.Reader(trimmed.First)
			continue
		case errors.Is(err, io.EOF):
			t.advance(end, nil)
			if err = t.caughtUp(ctx, ticker.C); err == nil && ctx.Err() != nil {
				return
			}
		}
		if err == nil {
			continue
		}
		t.pause(ctx, err)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, history.ErrDamaged) {
			t.replace()
		}
		r.Close()
		r = t.store.journal.Reader(t.position())
	}
}

// caughtUp waits for more to read, and has the history write what is due meanwhile.
func (t *historyTail) caughtUp(ctx context.Context, tick <-chan time.Time) error {
	select {
	case <-t.news:
	case <-ctx.Done():
	case <-tick:
		t.repair()
		if err := t.history().Flush(false); errors.Is(err, history.ErrDamaged) {
			return err
		}
		t.advance(t.position(), nil)
	}
	return nil
}

// block hands the frames of a block to the history.
func (t *historyTail) block(ctx context.Context, block *journal.Block) error {
	if gap := block.Skipped; gap.First != 0 {
		t.store.Outages.EnterGap(t.store.damaged(gap).Between(t.read, block.Time))
	}
	t.read = block.Time
	for position, b := range block.Entries() {
		if err := t.entry(position, block.Time, b); err != nil {
			t.advance(position, nil)
			return err
		}
	}
	t.advance(block.First+uint64(block.Count), nil)
	return nil
}

// dropped is the gap between what the history has read and the first entry that the journal still holds.
func (t *historyTail) dropped(first uint64) outages.Gap {
	g := outages.Gap{First: t.position(), Last: first - 1, Tail: historyName, Cause: "dropped at the journal's limit before the history had read it"}
	since := t.read
	if t.history().Cursor() == 1 {
		g.Cause = "history.db is new, because it was damaged or lost, and the journal does not reach back any further"
		since = t.store.firstCreated()
	}
	for _, segment := range t.store.journal.Segments() {
		if segment.First == first {
			return g.Between(since, segment.Oldest)
		}
	}
	return g
}

func (t *historyTail) entry(position uint64, received time.Time, b []byte) error {
	var e tail.Entry
	h := t.history()
	if err := tail.Parse(b, &e); err != nil {
		t.store.log.Error("a journal entry can't be read", "position", position)
	}
	switch e.Kind {
	case tail.KindRemoval:
		if err := h.Remove(e.Device); err != nil {
			return err
		}
	case tail.KindFrame:
		if src := t.source(e.Number); src != nil {
			return h.Add(frameOf(&e, src, position, received))
		}
		t.store.log.Error("a frame's source is not defined", "position", position, "source", e.Number)
	}
	h.SkipTo(position + 1)
	return nil
}

func (t *historyTail) source(number uint64) *tail.Source {
	return t.store.sources.Get(number)
}

func (t *historyTail) history() *history.History { return t.store.history.Load() }

// firstCreated is when the oldest device was registered, zero if there is none.
func (s *Store) firstCreated() (first time.Time) {
	for _, d := range s.Devices() {
		if first.IsZero() || d.Created.Before(first) {
			first = d.Created
		}
	}
	return first
}

// replace sets a damaged history file aside and begins a new one, as far back as the journal reaches.
func (t *historyTail) replace() {
	if err := t.history().Close(); err != nil { // it says where the damaged file is
		t.store.Alarms.Set("history.db damaged", err.Error()+"; a new one is filled as far as the journal reaches")
	}
	if err := t.store.openHistory(); err != nil {
		t.store.log.Error("a new history could not be begun", "error", err)
		return
	}
	t.mu.Lock()
	t.next = t.history().Cursor()
	t.mu.Unlock()
}

// pause waits a little after an error.
func (t *historyTail) pause(ctx context.Context, err error) {
	t.advance(t.position(), err)
	select {
	case <-time.After(retryTail):
	case <-ctx.Done():
	}
}

// progress returns the position that the tail reads next, and whether it goes on.
func (t *historyTail) progress() (next uint64, working bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next, t.err == nil && !t.stopped
}

func (t *historyTail) position() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// advance records how far the tail is and whether it can go on.
func (t *historyTail) advance(next uint64, err error) {
	t.mu.Lock()
	t.err = err
	if err == nil && next > t.next {
		t.next = next
		close(t.moved)
		t.moved = make(chan struct{})
	}
	t.mu.Unlock()
	if err == nil {
		err = t.history().Failing() // it goes on in memory
	}
	if err != nil {
		t.store.Alarms.Raise("history", "the local history can't be written, the journal keeps its frames: "+err.Error())
	} else {
		t.store.Alarms.Clear("history")
	}
}

func (t *historyTail) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	close(t.moved)
}

// reach waits until the tail has read everything before position.
func (t *historyTail) reach(ctx context.Context, position uint64) error {
	for {
		t.mu.Lock()
		next, moved, stopped, err := t.next, t.moved, t.stopped, t.err
		t.mu.Unlock()
		switch {
		case next >= position:
			return nil
		case err != nil:
			return err
		case stopped:
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
