package export

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// reader fills batches from the journal.
type reader struct {
	export  *Export
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
func (r *reader) fill(b *batch, s span) error {
	if r.reader == nil || r.at != s.first {
		r.close()
		r.reader, r.at = r.export.journal.Reader(s.first), s.first
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
func (r *reader) read() (more bool, err error) {
	end := r.export.journal.Next()
	r.block, err = r.reader.Next()
	if trimmed, ok := errors.AsType[*journal.TrimmedError](err); ok {
		r.export.Drop(trimmed.First)
		r.close()
		r.reader, r.at = r.export.journal.Reader(trimmed.First), trimmed.First
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
		r.export.Damaged(gap)
	}
	r.at = max(r.at, r.block.First)
	r.held = true
	return true, nil
}

// take moves entries before position end from the block to b, and returns true when the block has no more.
func (r *reader) take(b *batch, end uint64) (empty bool) {
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

func (r *reader) full(b *batch) bool {
	return b.lines.Lines() >= r.export.options.BatchLines || b.lines.Bytes() >= min(r.export.options.BatchBytes, r.export.writer.MaxBytes())
}

func (r *reader) entry(b *batch, position uint64, entry []byte) {
	f, err := r.export.Decode(entry, &r.data)
	switch {
	case err != nil:
		r.unreadable(b, position, err)
		return
	case f.Schema == nil:
		return
	}
	series := r.seriesOf(&f)
	if series == nil {
		b.counts.Removed++
		return
	}
	first := b.lines.Lines()
	b.counts.Skipped.Add(r.encoder.Append(&b.lines, series, &r.data, f.Offset))
	if b.lines.Lines() > first {
		b.frames = append(b.frames, frame{position: position, received: r.block.Time, device: f.Device, seq: r.data.Seq, line: first})
	}
}

func (r *reader) unreadable(b *batch, position uint64, err error) {
	b.counts.Unreadable++
	r.export.Log.Error("a journal entry can't be exported", "position", position, "error", err)
}

// seriesOf returns the series of a frame, nil if its device is not registered any more.
func (r *reader) seriesOf(f *Frame) *influx.Series {
	d, ok := r.export.Device(f.Device)
	if !ok {
		return nil
	}
	known, ok := r.series[f.Source]
	if !ok || !known.created.Equal(d.Created) {
		if r.series == nil || len(r.series) >= maxSeries {
			r.series = map[uint64]deviceSeries{}
		}
		known = deviceSeries{d.Created, influx.NewSeries(d.Kind, f.Device, d.Labels, f.Schema)}
		r.series[f.Source] = known
	}
	return known.series
}

func (r *reader) close() {
	if r.reader != nil {
		_ = r.reader.Close() // of a file that was only read
		r.reader, r.held = nil, false
	}
}
