package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	retryCommit          = time.Second // after a failed write
	retryRoom            = 100 * time.Millisecond
	quietFor             = 10 * time.Second // without a failed write, until the alarm is over
	trimPatience         = 2 * time.Second  // for the journal to be trimmed, before too little room is a failure
	definitionsPerCommit = 128              // of at most device.MaxMessage bytes: well within what a commit takes
)

// failure is why the journal can't be written.
type failure struct {
	since wallclock.Moment
	err   error
}

// write commits the batch, and tries again until it succeeds or ctx has ended. Nothing is acknowledged meanwhile: devices
// see that acks stay away, and keep their frames.
func (c *committer) write(ctx context.Context, b *batch) (first uint64, err error) {
	for again := false; ; again = true {
		if err = c.roomFor(len(b.entries)); err == nil {
			c.diskPace.begin(time.Now())
			first, err = c.writeOnce(b, again)
			c.diskPace.end(time.Now())
		}
		c.fail(err)
		if err == nil {
			return first, nil
		}
		wait := retryCommit
		if c.noRoom {
			wait = retryRoom
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the last frames could not be written: %w", err)
		case <-time.After(wait):
			c.progress.Add(1)
		}
	}
}

func (c *committer) writeOnce(b *batch, again bool) (first uint64, err error) {
	switch {
	case b.rotate:
		err = c.journal.Rotate()
	case again:
		// After a failed write the journal goes on in a new segment.
		err = c.defineAgain()
	}
	if err != nil {
		return 0, err
	}
	return c.journal.Commit(b.entries, b.count, b.opened)
}

// defineAgain commits the definitions of all sources that are on disk, so that the segment begun after a failed write can
// be read without the one before it.
func (c *committer) defineAgain() error {
	for chunk := range slices.Chunk(c.opts.Sources.OnDisk(), definitionsPerCommit) {
		var entries, scratch []byte
		for _, src := range chunk {
			scratch = tail.AppendSource(scratch[:0], src)
			entries = journal.AppendEntry(entries, scratch)
		}
		first, err := c.journal.Commit(entries, len(chunk), c.now())
		if err != nil {
			return err
		}
		c.opts.Sources.Written(chunk, 0, first)
	}
	return nil
}

// fail records whether the journal can be written.
func (c *committer) fail(err error) {
	switch {
	case err == nil || !c.noRoom:
		c.waits = time.Time{}
	case c.waits.IsZero():
		c.waits = time.Now()
	}
	if err != nil && c.noRoom && time.Since(c.waits) < trimPatience {
		return // room may come from the hub itself
	}
	c.mu.Lock()
	switch {
	case err == nil:
		c.failing = failure{}
	case c.failing.err == nil:
		c.failing = failure{since: c.wall.Moment(), err: err}
	default:
		c.failing.err = err
	}
	c.mu.Unlock()
	if err == nil {
		return
	}
	c.failed = time.Now()
	c.alarms.Raise("journal", fmt.Sprintf("frames can't be stored, so none are acknowledged: %v", err))
}

// recovered ends the alarm when no write has failed for a while: on a disk that is full but for a little, they fail now and
// then.
func (c *committer) recovered() {
	if !c.failed.IsZero() && time.Since(c.failed) >= quietFor {
		c.failed = time.Time{}
		c.alarms.Clear("journal")
	}
}

// diskNearlyFull says whether the books should go to hub.db because soon the disk may have no room for the journal. While it has
// none there is no checkpoint, and without the books in hub.db nothing can be trimmed.
func (c *committer) diskNearlyFull() bool {
	if c.sinceBytes == 0 || len(c.idle) == 0 {
		return false
	}
	return c.opts.Space(c.opts.Dir).Tight() && c.sinceBytes >= c.segmentBytes/4
}

// roomFor returns an error if the journal may not grow by bytes. Once it has, it wants twice the reserve to be free, so that it
// does not change its mind with every file that comes and goes.
func (c *committer) roomFor(bytes int) error {
	s := c.opts.Space(c.opts.Dir)
	if !s.known() {
		return nil
	}
	if s.Tight() {
		notify.Signal(c.trimNow)
	}
	need := s.reserve()
	if c.noRoom {
		need *= 2
	}
	if c.noRoom = s.Free-int64(bytes) < need; c.noRoom {
		return fmt.Errorf("the disk has less than the %d MiB free that the hub keeps for its books: make room", s.reserve()>>20)
	}
	return nil
}
