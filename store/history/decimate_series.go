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
	scale   int8     // of an Int
	rounded bool     // the cells of an Int hold floats, because its scale has changed
}

// cell is a bucket being filled. Its values are bits as in device.Value.
type cell struct {
	low, high uint64
	bits      uint64    // of the last value
	last      sampleKey // of the last value; position 0: none yet
}

// add takes the runs' samples of a column. The column has the type of the series, but perhaps another scale.
func (s *series) add(c *contents, column *device.Column, ch *device.Channel, runs []run, number uint64) {
	if column.Type == device.Int {
		s.adapt(ch.Scale)
	}
	for _, r := range runs {
		last := lastPresent(column, r)
		if last < 0 {
			continue
		}
		if s.cells == nil {
			s.cells = make([]cell, s.buckets)
			if column.Type == device.String {
				s.texts = make([]string, s.buckets)
			}
		}
		var low, high, bits uint64
		switch column.Type {
		case device.String:
		case device.Float32, device.Float64:
			low, high = spanFloats(column, r, last)
			bits = column.Bits[last]
		default:
			low, high = spanInts(column, r, last)
			bits = column.Bits[last]
			if s.rounded {
				low, high, bits = rounded(low, ch.Scale), rounded(high, ch.Scale), rounded(bits, ch.Scale)
			}
		}
		to := &s.cells[r.bucket]
		switch {
		case to.last.position == 0:
			to.low, to.high = low, high
		case s.exact():
			to.low, to.high = uint64(min(int64(to.low), int64(low))), uint64(max(int64(to.high), int64(high)))
		default:
			to.low, to.high = lower(to.low, low), higher(to.high, high)
		}
		key := sampleKey{time: c.data.Times[last], position: c.parts[c.partOf[last]].position, number: number}
		if to.last.position != 0 && key.before(to.last) {
			continue
		}
		to.last, to.bits = key, bits
		if column.Type == device.String {
			s.texts[r.bucket] = cutText(column.Text[last])
		}
	}
}

// exact tells whether the cells hold integers.
func (s *series) exact() bool {
	return s.channel.Type == device.Bool || s.channel.Type == device.Int && !s.rounded
}

// adapt makes ready for integers of a scale. As long as all have the same, they are kept as they are; floats are exact up to 2⁵³
// only.
func (s *series) adapt(scale int8) {
	switch {
	case s.cells == nil:
		s.scale = scale
	case scale != s.scale && !s.rounded:
		s.rounded = true
		for i := range s.cells {
			c := &s.cells[i]
			c.low, c.high, c.bits = rounded(c.low, s.scale), rounded(c.high, s.scale), rounded(c.bits, s.scale)
		}
	}
}

// rounded is an integer of a scale as the nearest float.
func rounded(bits uint64, scale int8) uint64 {
	f, _ := device.Value{Type: device.Int, Scale: scale, Bits: bits}.Float()
	return math.Float64bits(f)
}

func lastPresent(c *device.Column, r run) int {
	for i := r.high - 1; i >= r.low; i-- {
		if c.Present == nil || c.Present[i] {
			return i
		}
	}
	return -1
}

// spanInts finds the extremes of the integers or bools of a run, whose last one is known.
func spanInts(c *device.Column, r run, last int) (low, high uint64) {
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
	return uint64(least), uint64(most)
}

// spanFloats is spanInts for floats.
func spanFloats(c *device.Column, r run, last int) (low, high uint64) {
	low, high = c.Bits[last], c.Bits[last]
	for i := r.low; i < last; i++ {
		if c.Present == nil || c.Present[i] {
			low, high = lower(low, c.Bits[i]), higher(high, c.Bits[i])
		}
	}
	return low, high
}

// lower is the lower of two floats, or the one that is not NaN.
func lower(a, b uint64) uint64 {
	if f := math.Float64frombits(a); math.Float64frombits(b) < f || f != f {
		return b
	}
	return a
}

// higher is the higher of two floats, or the one that is not NaN.
func higher(a, b uint64) uint64 {
	if f := math.Float64frombits(a); math.Float64frombits(b) > f || f != f {
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
	out := Series{Channel: s.channel, Type: s.channel.Type, Scale: s.scale, Buckets: make([]Bucket, 0, n)}
	if s.rounded {
		out.Type, out.Scale = device.Float64, 0
	}
	for i := range s.cells {
		c := &s.cells[i]
		if c.last.position == 0 {
			continue
		}
		b := Bucket{Time: device.Moment(c.last.time), Min: c.low, Max: c.high, Last: c.bits}
		if s.channel.Type == device.String {
			b.Text = s.texts[i]
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out
}
