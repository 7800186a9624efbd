// Package feed keeps the local history: it reads the journal behind the committer, replaces the history's file when it turns out damaged,
// and has what damaged blocks held restored from the journal.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

const (
	flushEvery = 5 * time.Second // how often the history is asked to write what is due
	retryAfter = 2 * time.Second // a failed write
)

// ErrStopped says that the feed has stopped before it had read what was asked for.
var ErrStopped = errors.New("the history is not fed any more")

// Options says what a Feed works with.
type Options struct {
	History      history.Options
	Alarms       *alarms.List
	Outages      *outages.Log
	Schema       func(device.Hash) []byte // the SCHEMA message with a hash; nil: there is none
	FirstCreated func() time.Time         // when the oldest device was registered; zero: there is none
}

// Feed reads the journal behind the committer and feeds the history. Its methods are safe for concurrent use.
type Feed struct {
	// static
	Options
	log     *slog.Logger
	tails   *tail.Log // from Begin on
	current atomic.Pointer[history.History]

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

// Open opens the history, or begins a new one.
func Open(o Options) (*Feed, error) {
	f := &Feed{Options: o, log: o.History.Logger, moved: make(chan struct{})}
	return f, f.open()
}

func (f *Feed) open() error {
	h, setAside, err := history.Open(f.Options.History)
	if err != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	f.current.Store(h)
	if setAside != "" {
		f.Alarms.Set("history.db damaged", fmt.Sprintf(
			"history.db was damaged; it is kept as %s, and a new one is filled as far as the journal reaches", setAside))
	}
	return nil
}

// Current is the history. It is another one when its file turned out damaged.
func (f *Feed) Current() *history.History { return f.current.Load() }

// Close closes the history. Run must have returned, or never been called.
func (f *Feed) Close() error { return f.Current().Close() }

// Begin makes the feed ready for a journal that has been recovered, and repairs what can be repaired from it.
func (f *Feed) Begin(tails *tail.Log) {
	f.tails = tails
	f.next = max(f.Current().Cursor(), 1)
	f.repair()
}

// Run reads until ctx ends, and then what is left.
func (f *Feed) Run(ctx context.Context) {
	defer f.stop()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	r := f.tails.Reader(f.Current().Cursor())
	defer r.Close()
	for {
		e, err := r.Next()
		switch {
		case err == nil:
			if err = f.entry(e); err != nil {
				f.advance(e.Position, nil)
			} else if r.Left() == 0 {
				f.advance(r.Position(), nil)
			}
		case errors.Is(err, io.EOF):
			f.advance(r.Position(), nil)
			if err = f.caughtUp(ctx, r.News(), ticker.C); err == nil && ctx.Err() != nil {
				return
			}
		}
		if err == nil {
			continue
		}
		f.pause(ctx, err)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, history.ErrDamaged) {
			f.replace()
		}
		r.Seek(f.position())
	}
}

// caughtUp waits for more to read, and has the history write what is due meanwhile.
func (f *Feed) caughtUp(ctx context.Context, news <-chan struct{}, tick <-chan time.Time) error {
	select {
	case <-news:
	case <-ctx.Done():
	case <-tick:
		f.repair()
		if err := f.Current().Flush(false); errors.Is(err, history.ErrDamaged) {
			return err
		}
		f.advance(f.position(), nil)
	}
	return nil
}

// entry takes the history past an entry.
func (f *Feed) entry(e *tail.Entry) error {
	h := f.Current()
	switch e.Kind {
	case tail.KindFrame:
		return h.Add(frameOf(e))
	case tail.KindRemoval:
		if err := h.Remove(e.Device); err != nil {
			return err
		}
	case tail.KindUnreadable:
		f.log.Error("a journal entry can't be read", "position", e.Position, "error", e.Err)
	case tail.KindGap:
		f.Outages.EnterGap(outages.Missing(e.Gap))
		return nil
	case tail.KindOverleap:
		f.Outages.EnterGap(f.dropped(e.Gap))
		h.SkipTo(e.Position)
		f.advance(e.Position, nil)
		return nil
	}
	h.SkipTo(e.Position + 1)
	return nil
}

// dropped is the gap between what the history has read and the first entry that the journal still holds.
func (f *Feed) dropped(overleap *tail.Gap) outages.Gap {
	g := *overleap
	g.Cause = "dropped at the journal's limit before the history had read it"
	if f.Current().Cursor() == 1 {
		g.Cause = "history.db is new, because it was damaged or lost, and the journal does not reach back any further"
		g.From = f.FirstCreated()
	}
	gap := outages.Missing(&g)
	gap.Tail = outages.HistoryTail
	return gap
}

// replace sets a damaged history file aside and begins a new one, as far back as the journal reaches.
func (f *Feed) replace() {
	if err := f.Current().Close(); err != nil { // it says where the damaged file is
		f.Alarms.Set("history.db damaged", err.Error()+"; a new one is filled as far as the journal reaches")
	}
	if err := f.open(); err != nil {
		f.log.Error("a new history could not be begun", "error", err)
		return
	}
	f.mu.Lock()
	f.next = f.Current().Cursor()
	f.mu.Unlock()
}

// pause waits a little after an error.
func (f *Feed) pause(ctx context.Context, err error) {
	f.advance(f.position(), err)
	select {
	case <-time.After(retryAfter):
	case <-ctx.Done():
	}
}

// Progress returns the position that the feed reads next, and whether it goes on.
func (f *Feed) Progress() (next uint64, working bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next, f.err == nil && !f.stopped
}

func (f *Feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

// advance records how far the feed is and whether it can go on.
func (f *Feed) advance(next uint64, err error) {
	f.mu.Lock()
	f.err = err
	if err == nil && next > f.next {
		f.next = next
		close(f.moved)
		f.moved = make(chan struct{})
	}
	f.mu.Unlock()
	if err == nil {
		err = f.Current().Failing() // it goes on in memory
	}
	if err != nil {
		f.Alarms.Raise("history", "the local history can't be written, the journal keeps its frames: "+err.Error())
	} else {
		f.Alarms.Clear("history")
	}
}

func (f *Feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	close(f.moved)
}

// Err is why the feed can't go on at the moment, nil if it can.
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Reach waits until everything before position has been read. It returns ErrStopped if that is not going to be.
func (f *Feed) Reach(ctx context.Context, position uint64) error {
	for {
		f.mu.Lock()
		next, moved, stopped, err := f.next, f.moved, f.stopped, f.err
		f.mu.Unlock()
		switch {
		case next >= position:
			return nil
		case err != nil:
			return err
		case stopped:
			return ErrStopped
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
