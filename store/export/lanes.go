package export

import (
	"context"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

const (
	// leapAfter is how old what the live lane sends may be before it leaps to the end of the journal.
	leapAfter = 2 * time.Second

	// backlogBatches is how many batches the backlog lane has: one is on its way while the next is being encoded.
	backlogBatches = 2
)

// runLive exports what is committed, until ctx ends.
func (e *Export) runLive(ctx context.Context) {
	r := reader{export: e, tail: e.deps.Tails.Reader(e.live)}
	defer r.close()
	var b batch
	for {
		sent := time.Now()
		for more := true; more; {
			more = e.stepLive(ctx, &r, &b)
			if ctx.Err() != nil {
				return
			}
		}
		// What comes meanwhile goes together.
		if !sleep(ctx, e.options.FlushInterval-time.Since(sent)) {
			return
		}
		select {
		case <-r.tail.News():
		case <-ctx.Done():
			return
		}
	}
}

// stepLive exports one batch and returns whether there may be more.
func (e *Export) stepLive(ctx context.Context, r *reader, b *batch) (more bool) {
	e.mu.Lock()
	at := e.live
	e.mu.Unlock()
	err := r.fill(b, span{at, endless})
	end := e.deps.Journal.Next()
	switch {
	case b.first == b.next && err != nil:
		e.unreadable(ctx, err)
		e.leap(end) // what follows may be readable
		return true
	case b.first == b.next:
		return false
	case b.next < end && e.clock.Now().Sub(e.deps.Received(b.next-1, b.newest)) > leapAfter:
		e.leap(end)
		return true
	case !e.claim(b.span):
		e.leap(b.next)
		return true
	}
	e.moveLive(b.next)
	return e.deliver(ctx, b)
}

func (e *Export) moveLive(next uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = next
}

// leap leaves everything before end to the backlog lane.
func (e *Export) leap(end uint64) {
	e.moveLive(end)
	notify.Signal(e.backlog)
}

// runBacklog exports what is pending before the live lane, until ctx ends.
func (e *Export) runBacklog(ctx context.Context) {
	free, full := make(chan *batch, backlogBatches), make(chan *batch)
	for range backlogBatches {
		free <- &batch{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			e.deliver(ctx, b)
			free <- b
		}
	}()
	e.fillBacklog(ctx, free, full)
	close(full)
	<-done
}

// fillBacklog takes free batches, fills them and passes them on.
func (e *Export) fillBacklog(ctx context.Context, free <-chan *batch, full chan<- *batch) {
	r := reader{export: e}
	defer r.close()
	for {
		select {
		case b := <-free:
			if !e.nextBacklog(ctx, &r, b) {
				return
			}
			select {
			case full <- b:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// nextBacklog fills b with the oldest of the backlog as soon as there is some, and returns false when ctx ends.
func (e *Export) nextBacklog(ctx context.Context, r *reader, b *batch) bool {
	for ctx.Err() == nil {
		s, ok := e.oldestBacklog()
		if !ok {
			r.close()
			*b = batch{} // its memory may not be needed for long
			select {
			case <-e.backlog:
			case <-ctx.Done():
			}
			continue
		}
		err := r.fill(b, s)
		switch {
		case b.first < b.next:
			if e.claim(b.span) {
				return true
			}
		case err != nil:
			e.unreadable(ctx, err)
		}
	}
	return false
}

// oldestBacklog returns the oldest positions that neither are on their way nor belong to the live lane.
func (e *Export) oldestBacklog() (span, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	todo := e.pending
	for _, f := range e.inFlight {
		todo = todo.remove(f)
	}
	return todo.within(span{0, e.live})
}

// unreadable waits a little when the journal can't be read.
func (e *Export) unreadable(ctx context.Context, err error) {
	e.log.Error("the journal can't be read for the export", "error", err)
	sleep(ctx, retryRead)
}

// sleep waits for d, and returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
