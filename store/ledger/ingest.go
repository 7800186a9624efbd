package ledger

import (
	"context"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Ingest is one connection's way into the journal, for one stream of one device. Its methods are safe for concurrent use.
type Ingest struct {
	// static
	ledger    *Ledger
	stream    uint64
	committed func()

	// guarded by ledger.mu
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

func (s *settled) reset() {
	s.seqs.Reset()
	clear(s.rejects)
	s.rejects = s.rejects[:0]
}

// Ingest opens a connection's way in. committed is called, and must not block, when there may be something new for Take.
func (l *Ledger) Ingest(deviceID string, stream uint64, committed func()) *Ingest {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(deviceID)
	return &Ingest{ledger: l, account: a, set: a.stream(stream), stream: stream, next: 1, committed: committed}
}

// Received returns the settled sequence numbers that are on disk, as at most limit ranges.
func (in *Ingest) Received(limit int) device.Ranges {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	return in.set.durable.AppendRanges(nil, limit)
}

// Schema announces the schema of the frames that follow; message is the whole SCHEMA message, which the ledger keeps.
func (in *Ingest) Schema(message []byte, schema *device.Schema) {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	in.hash, in.message, in.schema, in.source = device.HashSchema(message), message, schema, nil
	in.ledger.opts.Schemas.Put(in.hash, schema, message)
}

// Boot records that hub time = time since boot + offset (µs) for one boot of the device. The base is that of the hub's clock by
// which it was measured: the clock may be set while Boot waits as Frame does.
func (in *Ingest) Boot(ctx context.Context, boot uint64, offset, base int64) error {
	return in.enter(ctx, func(b *batch) error {
		offset += in.ledger.clock.Base() - base
		in.account.boot(boot, offset, in.ledger.wall.Machine())
		b.scratch = tail.AppendBoot(b.scratch[:0], in.account.device, boot, offset)
		b.append(b.scratch)
		return nil
	})
}

// Offset returns what Boot recorded for a boot, in this connection or an earlier one, by the clock as it is now.
func (in *Ingest) Offset(boot uint64) (offset int64, ok bool) {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	for _, b := range in.account.boots {
		if b.Boot == boot {
			if b.machine == in.ledger.wall.Machine() {
				b.Offset += in.ledger.clock.Behind().Microseconds()
			}
			return b.Offset, true
		}
	}
	return 0, false
}

// Frame hands in one valid DATA message and its decoded form; both may be reused when it returns. A duplicate is counted,
// not stored, and settled with the same commit. Frame waits while the ledger can't take more. It returns ErrTooSparse when
// the stream would have more than device.MaxSparseRanges ranges, ErrFarAhead for a number that can't be right, ErrClosed when
// the device is gone, or ctx's error.
func (in *Ingest) Frame(ctx context.Context, message []byte, d *device.Data, t tail.Timing) error {
	return in.enter(ctx, func(b *batch) error {
		if in.message == nil {
			return errNoSchema
		}
		if in.farAhead(d.Seq) {
			return ErrFarAhead
		}
		highest := in.set.settled.Max()
		if added, err := in.settle(b, d.Seq); !added {
			return err
		}
		src := in.define(b)
		b.scratch = tail.AppendFrame(b.scratch[:0], src.Number, t, message)
		b.append(b.scratch)
		in.account.store(in.set, highest, d, t.Offset, b.opened.UnixMicro())
		return nil
	})
}

// Reject keeps a frame as a dead letter; seq 0 stands for one that could not be read, or can't be right.
func (in *Ingest) Reject(ctx context.Context, seq uint64, code device.RejectCode, text string, message []byte) error {
	return in.enter(ctx, func(b *batch) error {
		if in.farAhead(seq) {
			seq = 0
		}
		if seq != 0 {
			if added, err := in.settle(b, seq); !added {
				return err
			}
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
		return nil
	})
}

// Lost enters a range the device declares lost; what is settled already stays as it is. A wrong number high up would make the
// stream's later frames duplicates of lost ones, acknowledged and not stored: it returns ErrFarAhead for one that lies above
// what the device can have used.
func (in *Ingest) Lost(ctx context.Context, lost *device.Lost) error {
	return in.enter(ctx, func(b *batch) error {
		switch {
		case lost.Last > max(in.next-1+device.MaxAhead, in.set.settled.Max()):
			return ErrFarAhead
		case !in.set.settled.Fits(lost.First, device.MaxSparseRanges):
			return ErrTooSparse
		}
		in.touch(b)
		in.waiting.seqs.AddRange(lost.First, lost.Last)
		in.ledger.lose(in.account, in.set, lost.First, lost.Last, lost.Reason, b.opened)
		b.scratch = tail.AppendLost(b.scratch[:0], in.account.device, in.stream, lost)
		b.append(b.scratch)
		return nil
	})
}

// Take appends to s what became durable since the last call.
func (in *Ingest) Take(s *Settled) {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	s.Acks = in.durable.seqs.AppendRanges(s.Acks, in.durable.seqs.Len())
	s.Rejects = append(s.Rejects, in.durable.rejects...)
	in.durable.reset()
}

// Holes returns the sequence numbers that are not settled although the device has used them and higher ones are, as at most
// limit ranges. One frame with a corrupt number makes no holes of those below it.
func (in *Ingest) Holes(limit int) device.Ranges {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	settled := &in.set.settled
	used := settled.Max()
	if unused := settled.Missing(in.next, used, nil, 1); len(unused) > 0 {
		used = unused[0].First - 1
	}
	return settled.Missing(1, used, nil, limit)
}

// Close ends the connection's part; what was handed in is committed all the same.
func (in *Ingest) Close() {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	in.closed = true
}
