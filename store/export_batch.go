package store

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// exportBatch is the lines of journal entries that follow each other.
type exportBatch struct {
	span   // what it covers, entries without lines included
	lines  influx.Batch
	frames []exportFrame
	counts ExportCounts // to be added when it has been delivered
	newest time.Time    // when the last of its entries was committed
}

// exportFrame is a frame with lines in a batch.
type exportFrame struct {
	position uint64
	received time.Time
	device   string
	seq      uint64
	line     int // its first
}

func (b *exportBatch) reset(first uint64) {
	clear(b.frames)
	b.lines.Reset()
	*b = exportBatch{span: span{first, first}, lines: b.lines, frames: b.frames[:0]}
}

// exportReader fills batches from the journal.
type exportReader struct {
	tail    *exportTail
	reader  *journal.Reader
	block   journal.Block
	held    bool   // block has entries that are not in any batch yet
	at      uint64 // the next position to look at
	encoder influx.Encoder
	data    device.Data
	series  map[uint64]deviceSeries // by number of the source
}

// deviceSeries is the series of a source, as its device was registered then.
type deviceSeries struct {
	created time.Time
	series  *influx.Series
}

// maxSeries bounds the memory for series; above it they are made anew.
const maxSeries = 4096

// fill fills b with entries from position s.first on, up to s.next, the end of the journal, or until b is full. On an error
// b has what could be read before it.
func (r *exportReader) fill(b *exportBatch, s span) error {
	if r.reader == nil || r.at != s.first {
		r.close()
		r.reader, r.at = r.tail.store.journal.Reader(s.first), s.first
	}
	b.reset(s.first)
	for !r.full(b) {
		if !r.held {
			if more, err := r.read(); err != nil || !more {
				b.next = r.at
				return err
			}
		}
		if r.block.First >= s.next {
			break
		}
		r.held = !r.take(b, s.next)
	}
	b.next = min(r.at, s.next)
	return nil
}

// read reads the next block, and returns false at the end of the journal.
func (r *exportReader) read() (more bool, err error) {
	end := r.tail.store.journal.Next()
	r.block, err = r.reader.Next()
	if trimmed, ok := errors.AsType[*journal.TrimmedError](err); ok {
		r.tail.drop(trimmed.First)
		r.close()
		r.reader, r.at = r.tail.store.journal.Reader(trimmed.First), trimmed.First
		return false, nil
	}
	if errors.Is(err, io.EOF) {
		r.at = max(r.at, end) // the journal's end may have been lost: then there is nothing before end any more
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	if gap := r.block.Skipped; gap.First != 0 {
		r.tail.store.enterGap(r.tail.store.damaged(gap))
	}
	r.at = max(r.at, r.block.First)
	r.held = true
	return true, nil
}

// take moves entries before position end from the block to b, and returns true when the block has no more.
func (r *exportReader) take(b *exportBatch, end uint64) (empty bool) {
	b.newest = r.block.Time
	for position, entry := range r.block.Entries() {
		if position < r.at {
			continue
		}
		if position >= end || r.full(b) {
			return false
		}
		r.entry(b, position, entry)
		r.at = position + 1
	}
	return true
}

func (r *exportReader) full(b *exportBatch) bool {
	return b.lines.Lines() >= r.tail.options.BatchLines || b.lines.Bytes() >= min(r.tail.options.BatchBytes, r.tail.writer.MaxBytes())
}

func (r *exportReader) entry(b *exportBatch, position uint64, bytes []byte) {
	var e entry
	if err := parseEntry(bytes, &e); err != nil {
		r.unreadable(b, position, err)
		return
	}
	if e.kind != entryFrame {
		return
	}
	src, series := r.lookup(e.source)
	switch {
	case src == nil:
		r.unreadable(b, position, fmt.Errorf("its source %d is not defined", e.source))
		return
	case series == nil:
		b.counts.Removed++
		return
	}
	if err := device.ParseData(e.message, src.schema, &r.data); err != nil {
		r.unreadable(b, position, err)
		return
	}
	first := b.lines.Lines()
	b.counts.Skipped.Add(r.encoder.Append(&b.lines, series, &r.data, e.offset))
	if b.lines.Lines() > first {
		b.frames = append(b.frames, exportFrame{position: position, received: r.block.Time, device: src.device, seq: r.data.Seq, line: first})
	}
}

func (r *exportReader) unreadable(b *exportBatch, position uint64, err error) {
	b.counts.Unreadable++
	r.tail.store.log.Error("a journal entry can't be exported", "position", position, "error", err)
}

// lookup returns a source, nil if it is unknown, and its series, nil if the device is not registered any more.
func (r *exportReader) lookup(number uint64) (*source, *influx.Series) {
	s := r.tail.store
	s.mu.Lock()
	src := s.sources.byNumber[number]
	s.mu.Unlock()
	if src == nil {
		return nil, nil
	}
	s.registry.mu.RLock()
	d := s.registry.devices[src.device]
	s.registry.mu.RUnlock()
	if d == nil {
		return src, nil
	}
	known, ok := r.series[number]
	if !ok || !known.created.Equal(d.Created) {
		if r.series == nil || len(r.series) >= maxSeries {
			r.series = map[uint64]deviceSeries{}
		}
		known = deviceSeries{d.Created, influx.NewSeries(d.Kind, d.ID, d.Labels, src.schema)}
		r.series[number] = known
	}
	return src, known.series
}

func (r *exportReader) close() {
	if r.reader != nil {
		_ = r.reader.Close() // of a file that was only read
		r.reader, r.held = nil, false
	}
}
