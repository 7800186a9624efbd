package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
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

// run reads until ctx ends, and then what is left.
func (t *historyTail) run(ctx context.Context) {
	defer t.stop()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	r := t.store.Tails.Reader(t.history().Cursor())
	defer r.Close()
	for {
		e, err := r.Next()
		switch {
		case err == nil:
			if err = t.entry(e); err != nil {
				t.advance(e.Position, nil)
			} else if r.Left() == 0 {
				t.advance(r.Position(), nil)
			}
		case errors.Is(err, io.EOF):
			t.advance(r.Position(), nil)
			if err = t.caughtUp(ctx, r.News(), ticker.C); err == nil && ctx.Err() != nil {
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
		r.Seek(t.position())
	}
}

// caughtUp waits for more to read, and has the history write what is due meanwhile.
func (t *historyTail) caughtUp(ctx context.Context, news <-chan struct{}, tick <-chan time.Time) error {
	select {
	case <-news:
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

// entry takes the history past an entry.
func (t *historyTail) entry(e *tail.Entry) error {
	h := t.history()
	switch e.Kind {
	case tail.KindFrame:
		return h.Add(frameOf(e))
	case tail.KindRemoval:
		if err := h.Remove(e.Device); err != nil {
			return err
		}
	case tail.KindUnreadable:
		t.store.log.Error("a journal entry can't be read", "position", e.Position, "error", e.Err)
	case tail.KindGap:
		t.store.Outages.EnterGap(outages.Missing(e.Gap))
		return nil
	case tail.KindOverleap:
		t.store.Outages.EnterGap(t.dropped(e.Gap))
		h.SkipTo(e.Position)
		t.advance(e.Position, nil)
		return nil
	}
	h.SkipTo(e.Position + 1)
	return nil
}

// dropped is the gap between what the history has read and the first entry that the journal still holds.
func (t *historyTail) dropped(overleap *tail.Gap) outages.Gap {
	g := *overleap
	g.Cause = "dropped at the journal's limit before the history had read it"
	if t.history().Cursor() == 1 {
		g.Cause = "history.db is new, because it was damaged or lost, and the journal does not reach back any further"
		g.From = t.store.firstCreated()
	}
	gap := outages.Missing(&g)
	gap.Tail = historyName
	return gap
}

func (t *historyTail) history() *history.History { return t.store.history.Load() }

// firstCreated is when the oldest device was registered, zero if there is none.
func (s *Store) firstCreated() (first time.Time) {
	for _, d := range s.Devices.All() {
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
