package store

import (
	"context"
	"time"
)

const (
	// leapAfter is how old what the live lane sends may be before it leaps to the end of the journal.
	leapAfter = 2 * time.Second

	// backlogBatches is how many batches the backlog lane has: one is on its way while the next is being encoded.
	backlogBatches = 2
)

// runLive exports what is committed, until ctx ends.
func (t *exportTail) runLive(ctx context.Context) {
	r := exportReader{tail: t}
	defer r.close()
	var b exportBatch
	for {
		select {
		case <-t.news:
		case <-ctx.Done():
			return
		}
		sent := time.Now()
		for more := true; more; {
			more = t.stepLive(ctx, &r, &b)
			if ctx.Err() != nil {
				return
			}
		}
		// What comes meanwhile goes together.
		if !sleep(ctx, t.options.FlushInterval-time.Since(sent)) {
			return
		}
	}
}

// stepLive exports one batch and returns whether there may be more.
func (t *exportTail) stepLive(ctx context.Context, r *exportReader, b *exportBatch) (more bool) {
	t.mu.Lock()
	at := t.live
	t.mu.Unlock()
	err := r.fill(b, span{at, endless})
	end := t.store.journal.Next()
	switch {
	case b.first == b.next && err != nil:
		t.unreadable(ctx, err)
		t.leap(end) // what follows may be readable
		return true
	case b.first == b.next:
		return false
	case b.next < end && t.store.now().Sub(t.store.receivedAt(b.next-1, b.newest)) > leapAfter:
		t.leap(end)
		return true
	case !t.fly(b.span):
		t.leap(b.next)
		return true
	}
	t.moveLive(b.next)
	return t.deliver(ctx, b)
}

func (t *exportTail) moveLive(next uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = next
}

// leap leaves everything before end to the backlog lane.
func (t *exportTail) leap(end uint64) {
	t.moveLive(end)
	signal(t.backlog)
}

// runBacklog exports what is pending before the live lane, until ctx ends.
func (t *exportTail) runBacklog(ctx context.Context) {
	free, full := make(chan *exportBatch, backlogBatches), make(chan *exportBatch)
	for range backlogBatches {
		free <- &exportBatch{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			t.deliver(ctx, b)
			free <- b
		}
	}()
	t.fillBacklog(ctx, free, full)
	close(full)
	<-done
}

// fillBacklog takes free batches, fills them and passes them on.
func (t *exportTail) fillBacklog(ctx context.Context, free <-chan *exportBatch, full chan<- *exportBatch) {
	r := exportReader{tail: t}
	defer r.close()
	for {
		select {
		case b := <-free:
			if !t.nextBacklog(ctx, &r, b) {
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
func (t *exportTail) nextBacklog(ctx context.Context, r *exportReader, b *exportBatch) bool {
	for ctx.Err() == nil {
		s, ok := t.oldestBacklog()
		if !ok {
			r.close()
			*b = exportBatch{} // its memory may not be needed for long
			select {
			case <-t.backlog:
			case <-ctx.Done():
			}
			continue
		}
		err := r.fill(b, s)
		switch {
		case b.first < b.next:
			if t.fly(b.span) {
				return true
			}
		case err != nil:
			t.unreadable(ctx, err)
		}
	}
	return false
}

// oldestBacklog returns the oldest positions that neither are on their way nor belong to the live lane.
func (t *exportTail) oldestBacklog() (span, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	todo := t.pending
	for _, f := range t.flying {
		todo = todo.remove(f)
	}
	return todo.within(span{0, t.live})
}

// unreadable waits a little when the journal can't be read.
func (t *exportTail) unreadable(ctx context.Context, err error) {
	t.store.log.Error("the journal can't be read for the export", "error", err)
	sleep(ctx, retryTail)
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
