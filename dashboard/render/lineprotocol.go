package render

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// LineProtocol renders the readings of one device as InfluxDB line protocol, one line for a sample, just as the export writes
// it: package influx says how names and values are put.
type LineProtocol struct {
	kind    string
	labels  map[string]string
	series  *influx.Series
	schema  *device.Schema // of the series
	encoder influx.Encoder
	lines   influx.Batch

	// The sample that is held back until all its readings have come, which are without columns none.
	sample device.Data
	time   time.Time
	bits   []uint64 // what the columns' slices are cut from
	text   [][]byte
}

// NewLineProtocol renders readings of a device of this kind with these labels.
func NewLineProtocol(kind string, labels map[string]string) *LineProtocol {
	return &LineProtocol{kind: kind, labels: labels, sample: device.Data{Times: make([]int64, 1)}}
}

// Begin appends nothing.
func (l *LineProtocol) Begin(dst []byte) []byte { return dst }

// Append holds the reading back until its sample is complete, and appends the sample before it.
func (l *LineProtocol) Append(dst []byte, r *history.Reading) []byte {
	// The readings of one sample come with the same time and in the order of their channels' ids.
	if n := len(l.sample.Columns); n > 0 && (!r.Time.Equal(l.time) || r.Schema != l.schema || r.Channel.ID <= l.sample.Columns[n-1].ID) {
		dst = l.End(dst)
	}
	if r.Schema != l.schema {
		l.schema = r.Schema
		l.series = influx.NewSeries(l.kind, r.Device, l.labels, r.Schema)
	}
	l.time = r.Time
	n := len(l.bits)
	l.bits, l.text = append(l.bits, r.Value.Bits), append(l.text, []byte(r.Value.Text))
	l.sample.Columns = append(l.sample.Columns, device.Column{ID: r.Channel.ID, Type: r.Channel.Type, Bits: l.bits[n:], Text: l.text[n:]})
	return dst
}

// End appends the last sample.
func (l *LineProtocol) End(dst []byte) []byte {
	l.sample.Times[0] = l.time.UnixMicro()
	l.lines.Reset()
	if len(l.sample.Columns) > 0 {
		l.encoder.Append(&l.lines, l.series, &l.sample, 0)
	}
	for i := range l.lines.Lines() {
		dst = append(dst, l.lines.Line(i)...)
	}
	l.sample.Columns, l.bits, l.text = l.sample.Columns[:0], l.bits[:0], l.text[:0]
	return dst
}
