package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// committer is the one goroutine that writes the journal.
type committer struct {
	*Ledger
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

func newCommitter(l *Ledger) *committer {
	c := &committer{
		Ledger: l, lastCheckpoint: time.Now(), sinceBytes: LagBytes(l.journal.Segments(), l.cursor),
		spares: make(chan *batch, 2), written: make(chan *batch, 2),
	}
	for range cap(c.spares) {
		c.spares <- &batch{}
	}
	return c
}

// commitLoop writes batches, at most one in each commit window, until ctx ends; then it writes what is left and a last
// checkpoint.
func (l *Ledger) commitLoop(ctx context.Context) error {
	c := newCommitter(l)
	defer close(l.checkpoints)
	defer close(l.stopped)
	var acknowledging sync.WaitGroup
	acknowledging.Go(c.acknowledge)
	defer acknowledging.Wait()
	defer close(c.written)
	heartbeat := time.NewTicker(time.Second)
	defer heartbeat.Stop()
	if c.diskNearlyFull() {
		if err := c.commit(ctx); err != nil {
			return err
		}
	}
	for {
		l.progress.Add(1)
		select {
		case <-ctx.Done():
			l.idle <- <-l.idle // the checkpoint under way ends
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
		case asker := <-l.checkpointNow:
			c.askers = append(c.askers, asker)
		case <-l.work:
			c.waitForWindow(ctx)
		}
		if err := c.commit(ctx); err != nil {
			return err
		}
	}
}

// acknowledge calls the connections of every batch that is on disk, in the order in which they were written: there is something
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
	b, cp := c.take(c.checkpointDue() || c.diskNearlyFull())
	if b.count > 0 {
		c.waitForHistory(ctx)
		first, err := c.write(ctx, b)
		if err != nil {
			return err
		}
		c.sinceBytes += int64(len(b.entries))
		c.settle(b, first)
		if c.journal.Bytes() > c.opts.MaxBytes {
			notify.Signal(c.trimNow)
		}
	}
	if cp != nil {
		c.pass(cp)
	}
	c.written <- b
	return nil
}

// take takes the batch being filled away and puts a spare one in its place. With checkpoint it also records the state
// of the books as they are with the batch, which no later frame has touched yet.
func (c *committer) take(checkpoint bool) (*batch, *checkpoint) {
	next := <-c.spares
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.filling
	for _, a := range b.repeats {
		if a.removed { // the batch says so: who reads it must not count for the device again
			continue
		}
		b.scratch = tail.AppendDuplicates(b.scratch[:0], a.device, a.repeats)
		b.append(b.scratch)
		a.repeats = 0
	}
	for _, in := range b.ingests {
		in.waiting, in.writing = in.writing, in.waiting
		in.account.writing = in.account.counts
	}
	c.segmentUsed += int64(len(b.entries))
	next.number, next.segment = b.number+1, b.segment
	next.rotate = b.rotate && b.count == 0 // an empty one is not written, so it has not begun its segment
	if c.segmentUsed >= c.segmentBytes {
		next.segment, next.rotate, c.segmentUsed = b.segment+1, true, 0
	}
	c.filling, next.entries = next, c.tails.Buffer()
	close(c.taken)
	c.taken = make(chan struct{})
	if !checkpoint {
		return b, nil
	}
	return b, c.snapshot()
}

// waitForHistory lets the history catch up when the journal may have to drop what it has not read: who sends faster than that
// waits for its acknowledgements. A history that can't go on holds nobody up.
func (c *committer) waitForHistory(ctx context.Context) {
	for ctx.Err() == nil {
		read, working := c.opts.HistoryRead()
		if !working || LagBytes(c.journal.Segments(), read) <= c.opts.MaxBytes/4 {
			return
		}
		c.throttle.note(time.Now())
		c.progress.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// settle makes known that the batch is on disk, its first entry at position first.
func (c *committer) settle(b *batch, first uint64) {
	if b.move != nil {
		c.ages.Store(c.ages.Load().moved(first, *b.move))
	}
	c.opts.Sources.Written(b.sources, b.segment, first)
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
	c.letters.add(b.letters)
	c.mu.Unlock()
	c.latencies.note(c.wall.Moment(), b.began)
	c.tails.Publish(first, b.count, b.opened, b.entries)
	b.entries = nil
}
