package tail

import (
	"context"
	"errors"
	"io"
	"time"
)

// retryRead is when a follower tries again what the disk refused.
const retryRead = 2 * time.Second

// Follow calls f for everything that is committed from now on, in journal order and from one goroutine, until ctx ends. It is for those
// who keep nothing: nobody waits for f, and what it misses because it is too slow it gets as an overleap.
func (l *Log) Follow(ctx context.Context, f func(*Entry)) {
	r := l.Reader(l.journal.Next())
	defer r.Close()
	for ctx.Err() == nil {
		e, err := r.Next()
		if err == nil {
			f(e)
			continue
		}
		var retry <-chan time.Time
		if !errors.Is(err, io.EOF) { // the tails that matter raise the alarm
			retry = time.After(retryRead)
		}
		select {
		case <-r.News():
		case <-retry:
		case <-ctx.Done():
		}
	}
}
