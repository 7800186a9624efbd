package influx

import (
	"math"
	"strconv"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxTime is the latest time, in µs either side of 1970, that InfluxDB's 64 bits of ns can hold. It keeps the outermost few
// ns for itself.
const maxTime = (math.MaxInt64 - 1) / 1000

// fnvPrime is the multiplier of FNV-1a with 64 bits.
const fnvPrime = 1<<40 + 0x1b3

// Skipped counts readings that have no place in InfluxDB.
type Skipped struct {
	NotFinite uint64 `json:"not_finite"`  // NaN or an infinity
	OutOfTime uint64 `json:"out_of_time"` // before 1677 or after 2262
}

// Add adds o to s.
func (s *Skipped) Add(o Skipped) {
	s.NotFinite += o.NotFinite
	s.OutOfTime += o.OutOfTime
}

// Encoder turns frames into lines. It is for one goroutine, and after a few frames it allocates nothing.
type Encoder struct {
	enc     lineprotocol.Encoder
	columns []column
	text    []byte
	shape   uint64 // of the line encoded last
}

// column is a column of the frame being encoded.
type column struct {
	*device.Column
	field string
	scale int8
}

// Append appends the lines of a frame that was decoded with the series' schema to b. offset, in µs, is added to its times.
func (e *Encoder) Append(b *Batch, s *Series, d *device.Data, offset int64) (skipped Skipped) {
	e.columns = e.columns[:0]
	channel := 0 // both are sorted by id
	for i := range d.Columns {
		c := &d.Columns[i]
		for s.schema.Channels[channel].ID != c.ID {
			channel++
		}
		e.columns = append(e.columns, column{c, s.fields[channel], s.schema.Channels[channel].Scale})
	}
	// The names were made valid once, with the series.
	e.enc.SetLax(true)
	e.enc.SetBuffer(b.text)
	for i, t := range d.Times {
		if inTime(t, offset) {
			skipped.NotFinite += e.line(s, i, t+offset)
		} else {
			skipped.OutOfTime += e.present(i)
		}
		if end := len(e.enc.Bytes()); end > b.end() {
			b.lines = append(b.lines, line{end: end, count: 1, device: s.device, shape: e.shape})
		}
	}
	b.text = e.enc.Bytes()
	return skipped
}

// inTime says whether InfluxDB can hold the time t+offset, in µs.
func inTime(t, offset int64) bool {
	at := t + offset
	overflow := (at < t) != (offset < 0)
	return !overflow && -maxTime <= at && at <= maxTime
}

// line encodes sample i, whose time is at µs, unless it has no fields. It returns how many values were not finite.
func (e *Encoder) line(s *Series, i int, at int64) (notFinite uint64) {
	begun := false
	e.shape = 0
	for c := range e.columns {
		column := &e.columns[c]
		if column.Present != nil && !column.Present[i] {
			continue
		}
		value, ok := e.value(column, i)
		if !ok {
			notFinite++
			continue
		}
		if !begun {
			begun = true
			e.enc.StartLine(s.measurement)
			for _, t := range s.tags {
				e.enc.AddTag(t.key, t.value)
			}
		}
		e.enc.AddField(column.field, value)
		e.shape = (e.shape ^ uint64(column.ID)<<8 ^ uint64(column.Type)) * fnvPrime
	}
	if begun {
		e.enc.EndLine(time.UnixMicro(at))
	}
	return notFinite
}

// value returns a value as InfluxDB is to have it, and false for one that it can't have.
func (e *Encoder) value(c *column, i int) (lineprotocol.Value, bool) {
	switch c.Type {
	case device.Bool:
		return lineprotocol.BoolValue(c.Bits[i] != 0), true
	case device.String:
		return fromBytes(lineprotocol.String, c.Text[i])
	case device.Float32:
		// Not its conversion to 64 bits, but the number with its digits.
		e.text = strconv.AppendFloat(e.text[:0], math.Float64frombits(c.Bits[i]), 'g', -1, 32)
		return fromBytes(lineprotocol.Float, e.text)
	default:
		f, _ := device.Value{Type: c.Type, Scale: c.scale, Bits: c.Bits[i]}.Float()
		return lineprotocol.FloatValue(f)
	}
}

// fromBytes reads a value without copying, other than lineprotocol.StringValue.
func fromBytes(kind lineprotocol.ValueKind, b []byte) (lineprotocol.Value, bool) {
	v, err := lineprotocol.NewValueFromBytes(kind, b)
	return v, err == nil
}

// present counts the values of sample i.
func (e *Encoder) present(i int) (n uint64) {
	for _, c := range e.columns {
		if c.Present == nil || c.Present[i] {
			n++
		}
	}
	return n
}
