package ledger

import (
	"context"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// enter runs f on the batch being filled, as soon as it has room, and wakes the committer. mu is held while f runs.
func (in *Ingest) enter(ctx context.Context, f func(*batch) error) error {
	l := in.ledger
	l.mu.Lock()
	for len(l.filling.entries) >= maxPending {
		taken := l.taken
		l.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if l.closed || in.closed || in.account.removed {
		return ErrClosed
	}
	b := l.filling
	if b.empty() {
		l.openBatch(b)
	}
	err := f(b)
	in.account.dirty = true
	if !b.empty() {
		notify.Signal(l.work)
	}
	if len(b.entries) >= commitBytes {
		notify.Signal(l.full)
	}
	return err
}

// settle makes seq part of the stream with this batch. added is false for a duplicate, which it counts, and, with an error, for a
// number that would make the set too sparse.
func (in *Ingest) settle(b *batch, seq uint64) (added bool, err error) {
	if !in.set.settled.Fits(seq, device.MaxSparseRanges) {
		return false, ErrTooSparse
	}
	in.touch(b)
	in.waiting.seqs.Add(seq)
	if in.set.settled.Add(seq) {
		if seq >= in.next {
			in.next++ // it has made so many at least, whatever their numbers
		}
		return true, nil
	}
	a := in.account
	if a.repeats == 0 {
		b.repeats = append(b.repeats, a)
	}
	a.repeats++
	a.duplicates++
	return false, nil
}

// farAhead tells whether a number lies so far above all others that it must be corrupt.
func (in *Ingest) farAhead(seq uint64) bool {
	return seq > max(in.next-1, in.set.settled.Max())+device.MaxAhead
}

// touch puts the ingest on the list of those the batch settles something for.
func (in *Ingest) touch(b *batch) {
	in.account.dirty = true
	if in.batch != b.number {
		in.batch = b.number
		b.ingests = append(b.ingests, in)
	}
}

// define returns the ingest's source, after defining it in the batch's segment if that has not been done.
func (in *Ingest) define(b *batch) *tail.Source {
	if in.source != nil && in.defined == b.segment {
		return in.source
	}
	src, undefined := in.ledger.opts.Sources.Define(tail.Source{
		Device: in.account.device, Stream: in.stream, Hash: in.hash, Message: in.message, Schema: in.schema,
	}, b.segment)
	in.source, in.defined = src, b.segment
	if undefined {
		b.sources = append(b.sources, src)
		b.scratch = tail.AppendSource(b.scratch[:0], src)
		b.append(b.scratch)
	}
	return src
}
