package export

import (
	"errors"
	"io"
	"maps"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// reader fills batches from the journal.
type reader struct {
	export  *Export
	tail    *tail.Reader // nil: closed
	encoder influx.Encoder
	series  map[*tail.Source]deviceSeries
}

// deviceSeries is the series of a source, as its device was registered then.
type deviceSeries struct {
	created time.Time
	kind    string
	labels  map[string]string
	series  *influx.Series
}

// maxSeries bounds the memory for series; above it they are made anew.
const maxSeries = 4096

// fill fills b with entries from position s.first on, up to s.next, the end of the journal, or until b is full. On an error
// b has what could be read before it.
func (r *reader) fill(b *batch, s span) error {
	switch {
	case r.tail == nil:
		r.tail = r.export.deps.Tails.Reader(s.first)
	case r.tail.Position() != s.first:
		r.tail.Seek(s.first)
	}
	b.reset(s.first)
	for !r.full(b) && r.tail.Position() < s.next {
		entry, err := r.tail.Next()
		b.next = min(r.tail.Position(), s.next)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case entry.Kind == tail.KindOverleap:
			r.export.Drop(entry.Position)
			return nil // what is to be exported has changed
		case entry.Kind == tail.KindGap:
			r.export.deps.Outages.EnterGap(outages.Missing(entry.Gap))
		case entry.Position < s.next:
			r.entry(b, entry)
		}
	}
	return nil
}

func (r *reader) full(b *batch) bool {
	return b.lines.Lines() >= r.export.options.BatchLines || b.lines.Bytes() >= min(r.export.options.BatchBytes, r.export.writer.MaxBytes())
}

// entry adds the lines of a frame to b; other entries have none.
func (r *reader) entry(b *batch, e *tail.Entry) {
	b.newest = e.Received
	if e.Kind == tail.KindUnreadable {
		r.unreadable(b, e.Position, e.Err)
	}
	if e.Kind != tail.KindFrame {
		return
	}
	series := r.seriesOf(e.Source)
	if series == nil {
		b.counts.Removed++
		return
	}
	data, err := e.Data()
	if err != nil {
		r.unreadable(b, e.Position, err)
		return
	}
	first := b.lines.Lines()
	b.counts.Skipped.Add(r.encoder.Append(&b.lines, series, data, e.Timing.Offset))
	if b.lines.Lines() > first {
		b.frames = append(b.frames, frame{position: e.Position, received: e.Received, device: e.Device, seq: data.Seq, line: first})
	}
}

func (r *reader) unreadable(b *batch, position uint64, err error) {
	b.counts.Unreadable++
	r.export.log.Error("a journal entry can't be exported", "position", position, "error", err)
}

// seriesOf returns the series of a source, nil if its device is not registered any more.
func (r *reader) seriesOf(src *tail.Source) *influx.Series {
	d, err := r.export.deps.Devices.Get(src.Device)
	if err != nil {
		return nil
	}
	known, ok := r.series[src]
	if !ok || known.kind != d.Kind || !known.created.Equal(d.Created) || !maps.Equal(known.labels, d.Labels) {
		if r.series == nil || len(r.series) >= maxSeries {
			r.series = map[*tail.Source]deviceSeries{}
		}
		known = deviceSeries{d.Created, d.Kind, d.Labels, influx.NewSeries(d.Kind, src.Device, d.Labels, src.Schema)}
		r.series[src] = known
	}
	return known.series
}

func (r *reader) close() {
	if r.tail != nil {
		r.tail.Close()
		r.tail = nil
	}
}
