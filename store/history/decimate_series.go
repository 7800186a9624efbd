package history

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// series gathers the buckets of one channel.
type series struct {
	channel *device.Channel
	buckets int
	cells   []cell   // one for each bucket; nil: no reading yet
	texts   []string // likewise, of a String
}

// cell is a bucket being filled.
type cell struct {
	low, high float64
	bits      uint64    // of the last value; of an Int its number as a float
	last      sampleKey // of the last value; position 0: none yet
}

// add takes the runs' samples of a column. The column has the type of the series, but perhaps another scale.
func (s *series) add(c *contents, column *device.Column, ch *device.Channel, runs []run, number uint64) {
	for _, r := range runs {
		var last int
		var low, high float64
		switch column.Type {
		case device.Int:
			low, high, last = spanInts(column, ch, r)
		case device.Float32, device.Float64:
			low, high, last = spanFloats(column, r)
		default:
			last = lastPresent(column, r)
			if last >= 0 && column.Type == device.Bool {
				low, high = spanBools(column, r)
			}
		}
		if last < 0 {
			continue
		}
		if s.cells == nil {
			s.cells = make([]cell, s.buckets)
			if column.Type == device.String {
				s.texts = make([]string, s.buckets)
			}
		}
		to := &s.cells[r.bucket]
		if to.last.position == 0 {
			to.low, to.high = low, high
		} else {
			to.low, to.high = lower(to.low, low), higher(to.high, high)
		}
		key := sampleKey{time: c.data.Times[last], position: c.parts[c.partOf[last]].position, number: number}
		if to.last.position != 0 && key.before(to.last) {
			continue
		}
		to.last = key
		switch column.Type {
		case device.String:
			s.texts[r.bucket] = cutText(column.Text[last])
		case device.Int:
			v, _ := device.Value{Type: device.Int, Scale: ch.Scale, Bits: column.Bits[last]}.Float()
			to.bits = math.Float64bits(v)
		default:
			to.bits = column.Bits[last]
		}
	}
}

func lastPresent(c *device.Column, r run) int {
	for i := r.high - 1; i >= r.low; i-- {
		if c.Present == nil || c.Present[i] {
			return i
		}
	}
	return -1
}

// spanInts finds the extremes of a run, and which sample is its last, -1 if there is none.
func spanInts(c *device.Column, ch *device.Channel, r run) (low, high float64, last int) {
	if last = lastPresent(c, r); last < 0 {
		return 0, 0, last
	}
	least, most := int64(c.Bits[last]), int64(c.Bits[last])
	if c.Present == nil {
		for _, b := range c.Bits[r.low:last] {
			least, most = min(least, int64(b)), max(most, int64(b))
		}
	} else {
		for i := r.low; i < last; i++ {
			if c.Present[i] {
				least, most = min(least, int64(c.Bits[i])), max(most, int64(c.Bits[i]))
			}
		}
	}
	low, _ = device.Value{Type: device.Int, Scale: ch.Scale, Bits: uint64(least)}.Float()
	high, _ = device.Value{Type: device.Int, Scale: ch.Scale, Bits: uint64(most)}.Float()
	return low, high, last
}

func spanFloats(c *device.Column, r run) (low, high float64, last int) {
	if last = lastPresent(c, r); last < 0 {
		return 0, 0, last
	}
	low = math.Float64frombits(c.Bits[last])
	high = low
	for i := r.low; i < last; i++ {
		if c.Present == nil || c.Present[i] {
			v := math.Float64frombits(c.Bits[i])
			low, high = lower(low, v), higher(high, v)
		}
	}
	return low, high, last
}

func spanBools(c *device.Column, r run) (low, high float64) {
	low, high = 1, 0
	for i := r.low; i < r.high; i++ {
		if c.Present == nil || c.Present[i] {
			low, high = min(low, float64(c.Bits[i])), max(high, float64(c.Bits[i]))
		}
	}
	return low, high
}

// lower is the lower of two numbers, or the one that is not NaN.
func lower(a, b float64) float64 {
	if b < a || a != a {
		return b
	}
	return a
}

// higher is the higher of two numbers, or the one that is not NaN.
func higher(a, b float64) float64 {
	if b > a || a != a {
		return b
	}
	return a
}

// cutText copies a text, cut at the end of a character if it is too long.
func cutText(b []byte) string {
	if len(b) <= maxText {
		return string(b)
	}
	end := maxText - len("…")
	for !utf8.RuneStart(b[end]) {
		end--
	}
	return string(b[:end]) + "…"
}

// result is what has been gathered.
func (d *decimation) result() *Decimated {
	out := &Decimated{Series: make([]Series, len(d.series))}
	for i := range d.series {
		out.Series[i] = d.series[i].result()
	}
	for _, o := range d.others {
		out.Others = append(out.Others, *o)
	}
	slices.SortFunc(out.Others, func(a, b Other) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Unit, b.Unit))
	})
	out.Gaps, out.MinGap, out.Spacing = d.coverage.gaps(d.query.Expected, d.bounds)
	return out
}

func (s *series) result() Series {
	n := 0
	for i := range s.cells {
		if s.cells[i].last.position != 0 {
			n++
		}
	}
	out := Series{Channel: s.channel, Buckets: make([]Bucket, 0, n)}
	for i := range s.cells {
		c := &s.cells[i]
		if c.last.position == 0 {
			continue
		}
		b := Bucket{Time: device.Moment(c.last.time), Min: c.low, Max: c.high}
		switch s.channel.Type {
		case device.String:
			b.Last = device.Value{Type: device.String, Text: s.texts[i]}
		case device.Int:
			b.Last = device.Value{Type: device.Float64, Bits: c.bits} // scales may differ from one schema to the next
		default:
			b.Last = device.Value{Type: s.channel.Type, Bits: c.bits}
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out
}
