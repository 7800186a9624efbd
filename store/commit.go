package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
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

// committer is the one goroutine that writes the journal.
type committer struct {
	*Store
	spares         chan *batch  // empty; one is being filled, one written, one acknowledged
	written        chan *batch  // on disk, to be acknowledged
	askers         []chan error // who waits for a checkpoint
	lastCommit     time.Time
	lastCheckpoint time.Time
	sinceBytes     int64         // journal bytes since the last checkpoint
	noRoom         bool          // the disk has too little
	waits          time.Time     // since when it waits for room; zero: it does not
	failed         time.Time     // when a write failed last; zero: never, or the alarm is over
	ranges         device.Ranges // scratch
}

func newCommitter(s *Store) *committer {
	c := &committer{
		Store: s, lastCheckpoint: time.Now(), sinceBytes: lagBytes(s.journal.Segments(), s.cursor),
		spares: make(chan *batch, 2), written: make(chan *batch, 2),
	}
	for range cap(c.spares) {
		c.spares <- &batch{}
	}
	return c
}

// commitLoop writes batches, at most one in each commit window, until ctx ends; then it writes what is left and a last
// checkpoint.
func (s *Store) commitLoop(ctx context.Context) error {
	c := newCommitter(s)
	defer close(s.checkpoints)
	defer close(s.stopped)
	var acknowledging sync.WaitGroup
	acknowledging.Go(c.acknowledge)
	defer acknowledging.Wait()
	defer close(c.written)
	heartbeat := time.NewTicker(time.Second)
	defer heartbeat.Stop()
	if c.lastBooks() {
		if err := c.commit(ctx); err != nil {
			return err
		}
	}
	for {
		s.progress.Add(1)
		select {
		case <-ctx.Done():
			s.idle <- <-s.idle // the checkpoint under way ends
			c.askers = append(c.askers, make(chan error, 1))
			err := c.commit(ctx)
			_ = c.journal.Mark() // without it a loss of the journal's end may go unnoticed, and that is all
			return err
		case <-heartbeat.C:
			_ = c.journal.Mark()
			c.recovered()
			if !c.checkpointDue() {
				continue
			}
		case asker := <-s.checkpointNow:
			c.askers = append(c.askers, asker)
		case <-s.work:
			c.waitForWindow(ctx)
		}
		if err := c.commit(ctx); err != nil {
			return err
		}
	}
}

// acknowledge tells the connections of every batch that is on disk, in the order in which they were written, that there is something
// to acknowledge. The committer writes the next batch meanwhile.
func (c *committer) acknowledge() {
	for b := range c.written {
		for _, in := range b.ingests {
			in.committed()
		}
		b.reset()
		c.spares <- b
	}
}

// waitForWindow returns when the commit window is over, or enough is waiting.
func (c *committer) waitForWindow(ctx context.Context) {
	wait := c.opts.CommitWindow - time.Since(c.lastCommit)
	if wait <= 0 {
		return
	}
	window := time.NewTimer(wait)
	defer window.Stop()
	select {
	case <-window.C:
	case <-c.full:
	case <-ctx.Done():
	}
}

// commit writes the batch being filled, settles it, passes on a checkpoint of the state after it if one is due, and leaves it to be
// acknowledged.
func (c *committer) commit(ctx context.Context) error {
	c.lastCommit = time.Now()
	b, cp := c.take(c.checkpointDue() || c.lastBooks())
	if b.count > 0 {
		c.waitForHistory(ctx)
		first, err := c.write(ctx, b)
		if err != nil {
			return err
		}
		c.sinceBytes += int64(len(b.entries))
		c.settle(b, first)
		if c.journal.Bytes() > c.opts.JournalMaxBytes {
			signal(c.trimNow)
		}
	}
	if cp != nil {
		c.pass(cp)
	}
	c.written <- b
	return nil
}

// take takes the batch being filled away and puts the spare one in its place. With checkpoint it also records the state
// of the books as they are with the batch, which no later frame has touched yet.
func (c *committer) take(checkpoint bool) (*batch, *checkpoint) {
	next := <-c.spares
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.filling
	for _, a := range b.repeats {
		b.scratch = tail.AppendDuplicates(b.scratch[:0], a.device, a.repeats)
		b.append(b.scratch)
		a.repeats = 0
	}
	for _, in := range b.ingests {
		in.waiting, in.writing = in.writing, in.waiting
		in.account.writing = in.account.tally
	}
	c.segmentUsed += int64(len(b.entries))
	next.number, next.segment = b.number+1, b.segment
	next.rotate = b.rotate && b.count == 0 // an empty one is not written, so it has not begun its segment
	if c.segmentUsed >= c.segmentBytes {
		next.segment, next.rotate, c.segmentUsed = b.segment+1, true, 0
	}
	c.filling, next.entries = next, c.Tails.Buffer()
	close(c.room)
	c.room = make(chan struct{})
	if !checkpoint {
		return b, nil
	}
	return b, c.snapshot()
}

// waitForHistory lets the history catch up when the journal may have to drop what it has not read: who sends faster than that
// waits for its acknowledgements. A history that can't go on holds nobody up.
func (c *committer) waitForHistory(ctx context.Context) {
	for ctx.Err() == nil {
		read, working := c.historyRead()
		if !working || lagBytes(c.journal.Segments(), read) <= c.opts.JournalMaxBytes/4 {
			return
		}
		c.heldBack.note(time.Now())
		c.progress.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// write commits the batch, and tries again until it succeeds or ctx has ended. Nobody is told anything meanwhile: devices
// see that acks stay away, and keep their frames.
func (c *committer) write(ctx context.Context, b *batch) (first uint64, err error) {
	for again := false; ; again = true {
		if err = c.roomFor(len(b.entries)); err == nil {
			c.pace.begin(time.Now())
			first, err = c.writeOnce(b, again)
			c.pace.end(time.Now())
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
	for chunk := range slices.Chunk(c.sources.OnDisk(), definitionsPerCommit) {
		var entries, scratch []byte
		for _, src := range chunk {
			scratch = tail.AppendSource(scratch[:0], src)
			entries = journal.AppendEntry(entries, scratch)
		}
		first, err := c.journal.Commit(entries, len(chunk), c.now())
		if err != nil {
			return err
		}
		c.sources.Written(chunk, first)
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
		c.failing = failure{since: c.clock.Moment(), err: err}
	default:
		c.failing.err = err
	}
	c.mu.Unlock()
	if err == nil {
		return
	}
	c.failed = time.Now()
	c.Alarms.Raise("journal", fmt.Sprintf("frames can't be stored, so none are acknowledged: %v", err))
}

// recovered ends the alarm when no write has failed for a while: on a disk that is full but for a little, they fail now and
// then.
func (c *committer) recovered() {
	if !c.failed.IsZero() && time.Since(c.failed) >= quietFor {
		c.failed = time.Time{}
		c.Alarms.Clear("journal")
	}
}

// lastBooks says whether the books should go to hub.db because soon the disk may have no room for the journal. While it has
// none there is no checkpoint, and without the books in hub.db nothing can be trimmed.
func (c *committer) lastBooks() bool {
	if c.sinceBytes == 0 || len(c.idle) == 0 {
		return false
	}
	d := c.space(c.opts.Dir)
	return d.tight() && c.sinceBytes >= c.segmentBytes/4
}

// settle makes known that the batch is on disk, its first entry at position first.
func (c *committer) settle(b *batch, first uint64) {
	if b.move != nil {
		c.ages.Store(c.ages.Load().moved(first, *b.move))
	}
	c.sources.Written(b.sources, first)
	c.mu.Lock()
	for _, in := range b.ingests {
		c.ranges = in.writing.seqs.AppendRanges(c.ranges[:0], in.writing.seqs.Len())
		for _, r := range c.ranges {
			in.set.durable.AddRange(r.First, r.Last)
			in.durable.seqs.AddRange(r.First, r.Last)
		}
		in.durable.rejects = append(in.durable.rejects, in.writing.rejects...)
		in.writing.reset()
		in.account.durable = in.account.writing
	}
	for i := range b.letters {
		b.letters[i].Position += first
	}
	c.shelf.add(b.letters)
	c.mu.Unlock()
	c.latencies.note(c.clock.Moment(), b.began)
	c.Tails.Publish(first, b.count, b.opened, b.entries)
	b.entries = nil
}
