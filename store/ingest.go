package store

import (
	"context"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Ingest is one connection's way into the journal, for one stream of one device. Its methods are safe for concurrent use.
type Ingest struct {
	// static
	store     *Store
	stream    uint64
	committed func()

	// guarded by store.mu
	account *account
	set     *streamSet
	hash    device.Hash
	message []byte       // the SCHEMA message; nil: not announced
	source  *tail.Source // of that schema; nil until its first frame
	defined uint64       // the newest segment, as counted by the batches, that is known to define source
	schema  *device.Schema
	next    uint64  // the device has used the numbers below it; see Resume
	batch   uint64  // the batch that has this ingest in its list
	waiting settled // in the batch being filled
	writing settled // in the batch being written
	durable settled // on disk, not yet taken
	closed  bool
}

// Settled is what became durable on a connection since it was last asked.
type Settled struct {
	Acks    device.Ranges
	Rejects []device.Reject
}

// Reset empties s and keeps its memory.
func (s *Settled) Reset() { s.Acks, s.Rejects = s.Acks[:0], s.Rejects[:0] }

// settled gathers what one batch settles for an ingest.
type settled struct {
	seqs    device.SeqSet
	rejects []device.Reject
}

// Ingest opens a connection's way in. The store calls committed, which must not block, whenever Take has something new.
func (s *Store) Ingest(deviceID string, stream uint64, committed func()) *Ingest {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(deviceID)
	return &Ingest{store: s, account: a, set: a.stream(stream), stream: stream, next: 1, committed: committed}
}

// Received returns the settled sequence numbers that are on disk, as at most limit ranges.
func (in *Ingest) Received(limit int) device.Ranges {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	return in.set.durable.AppendRanges(nil, limit)
}

// Schema announces the schema of the frames that follow; message is the whole SCHEMA message, which the store keeps.
func (in *Ingest) Schema(message []byte, schema *device.Schema) {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	in.hash, in.message, in.schema, in.source = device.HashSchema(message), message, schema, nil
	in.store.schemas.Put(in.hash, schema, message)
}

// Boot records that hub time = time since boot + offset (µs) for one boot of the device. The base is that of the hub's clock by
// which it was measured: the clock may be set while Boot waits as Frame does.
func (in *Ingest) Boot(ctx context.Context, boot uint64, offset, base int64) error {
	return in.enter(ctx, func(b *batch) {
		offset += in.store.books.Base() - base
		in.account.boot(boot, offset, in.store.clock.Machine())
		b.scratch = tail.AppendBoot(b.scratch[:0], in.account.device, boot, offset)
		b.append(b.scratch)
	})
}

// Offset returns what Boot recorded for a boot, in this connection or an earlier one, by the clock as it is now.
func (in *Ingest) Offset(boot uint64) (offset int64, ok bool) {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	for _, b := range in.account.boots {
		if b.Boot == boot {
			if b.machine == in.store.clock.Machine() {
				b.Offset += in.store.books.Behind().Microseconds()
			}
			return b.Offset, true
		}
	}
	return 0, false
}

// Frame hands in one valid DATA message and its decoded form; both may be reused when it returns. A duplicate is counted,
// not stored, and settled with the same commit. Frame waits while the store can't take more. It returns ErrTooSparse when
// the stream would have more than device.MaxSparseRanges ranges, ErrFarAhead for a number that can't be right, ErrClosed when
// the device is gone, or ctx's error.
func (in *Ingest) Frame(ctx context.Context, message []byte, d *device.Data, t tail.Timing) error {
	var err error
	if e := in.enter(ctx, func(b *batch) {
		if in.message == nil {
			err = errNoSchema
			return
		}
		if in.farAhead(d.Seq) {
			err = ErrFarAhead
			return
		}
		highest := in.set.settled.Max()
		if !in.settle(b, d.Seq, &err) {
			return
		}
		src := in.define(b)
		b.scratch = tail.AppendFrame(b.scratch[:0], src.Number, t, message)
		b.append(b.scratch)
		a := in.account
		a.frames++
		a.readings += uint64(d.Readings())
		in.set.stored(d, t.Offset, highest, a.lastData)
		a.newest(d, t.Offset, b.opened.UnixMicro())
	}); e != nil {
		return e
	}
	return err
}

// Reject puts a frame on the dead-letter shelf; seq 0 stands for one that could not be read, or can't be right.
func (in *Ingest) Reject(ctx context.Context, seq uint64, code device.RejectCode, text string, message []byte) error {
	var err error
	if e := in.enter(ctx, func(b *batch) {
		if in.farAhead(seq) {
			seq = 0
		}
		if seq != 0 && !in.settle(b, seq, &err) {
			return
		}
		b.scratch = tail.AppendReject(b.scratch[:0], in.account.device, in.stream, seq, code, text, message)
		b.append(b.scratch)
		b.letters = append(b.letters, DeadLetter{
			Position: uint64(b.count - 1), Device: in.account.device, Received: b.opened,
			Seq: seq, Code: uint8(code), Text: text, Message: append([]byte(nil), message...),
		})
		in.account.rejected++
		in.touch(b)
		in.waiting.rejects = append(in.waiting.rejects, device.Reject{Seq: seq, Code: code, Text: text})
	}); e != nil {
		return e
	}
	return err
}

// Lost enters a range the device declares lost; what is settled already stays as it is. A wrong number high up would make the
// stream's later frames duplicates of lost ones, acknowledged and not stored: it returns ErrFarAhead for one that lies above
// what the device can have used.
func (in *Ingest) Lost(ctx context.Context, l *device.Lost) error {
	var err error
	if e := in.enter(ctx, func(b *batch) {
		switch {
		case l.Last > max(in.next-1+device.MaxAhead, in.set.settled.Max()):
			err = ErrFarAhead
			return
		case !in.set.settled.Fits(l.First, device.MaxSparseRanges):
			err = ErrTooSparse
			return
		}
		in.touch(b)
		in.waiting.seqs.AddRange(l.First, l.Last)
		in.store.lose(in.account, in.set, l.First, l.Last, l.Reason, b.opened)
		b.scratch = tail.AppendLost(b.scratch[:0], in.account.device, in.stream, l)
		b.append(b.scratch)
	}); e != nil {
		return e
	}
	return err
}

// Take appends to s what became durable since the last call.
func (in *Ingest) Take(s *Settled) {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	s.Acks = in.durable.seqs.AppendRanges(s.Acks, in.durable.seqs.Len())
	s.Rejects = append(s.Rejects, in.durable.rejects...)
	in.durable.reset()
}

// Holes returns the sequence numbers that are not settled although the device has used them and higher ones are, as at most
// limit ranges. One frame with a corrupt number makes no holes of those below it.
func (in *Ingest) Holes(limit int) device.Ranges {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	settled := &in.set.settled
	used := settled.Max()
	if unused := settled.Missing(in.next, used, nil, 1); len(unused) > 0 {
		used = unused[0].First - 1
	}
	return settled.Missing(1, used, nil, limit)
}

// farAhead tells whether a number lies so far above all others that it must be corrupt.
func (in *Ingest) farAhead(seq uint64) bool {
	return seq > max(in.next-1, in.set.settled.Max())+device.MaxAhead
}

// Close ends the connection's part; what was handed in is committed all the same.
func (in *Ingest) Close() {
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	in.closed = true
}

// settle makes seq part of the stream with this batch. It returns false for a duplicate, which it counts, and for a
// number that would make the set too sparse.
func (in *Ingest) settle(b *batch, seq uint64, err *error) bool {
	if !in.set.settled.Fits(seq, device.MaxSparseRanges) {
		*err = ErrTooSparse
		return false
	}
	in.touch(b)
	in.waiting.seqs.Add(seq)
	if in.set.settled.Add(seq) {
		if seq >= in.next {
			in.next++ // it has made so many at least, whatever their numbers
		}
		return true
	}
	a := in.account
	if a.repeats == 0 {
		b.repeats = append(b.repeats, a)
	}
	a.repeats++
	a.duplicates++
	return false
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
	src, undefined := in.store.sources.Define(tail.Source{
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

// enter runs f on the batch being filled, as soon as it has room, and wakes the committer.
func (in *Ingest) enter(ctx context.Context, f func(*batch)) error {
	s := in.store
	s.mu.Lock()
	for len(s.filling.entries) >= maxPending {
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.closed || in.closed || in.account.removed {
		return ErrClosed
	}
	b := s.filling
	if b.empty() {
		s.openBatch(b)
	}
	f(b)
	in.account.dirty = true
	if !b.empty() {
		signal(s.work)
	}
	if len(b.entries) >= commitBytes {
		signal(s.full)
	}
	return nil
}

func (s *settled) reset() {
	s.seqs.Reset()
	clear(s.rejects)
	s.rejects = s.rejects[:0]
}

// signal says that something changed; the reader looks for itself what it was.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
