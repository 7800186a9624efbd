package device

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// AppendData appends d as a DATA message to dst. The columns must be of the types that s gives their channels; Float32
// values are rounded to 32 bits. The times are written in the coarsest unit in which they are whole. It allocates nothing but
// what dst lacks. The error is a *DataError as a hub would find it, or of RejectBadValue for a d that no bytes could stand for;
// dst is then returned as it was.
func AppendData(dst []byte, d *Data, s *Schema) ([]byte, error) {
	out, err := d.append(dst, s)
	if err != nil {
		err.Seq = d.Seq
		return dst, err
	}
	return out, nil
}

func (d *Data) append(dst []byte, s *Schema) ([]byte, *DataError) {
	switch {
	case d.Seq == 0 || d.Seq > MaxSeq:
		return nil, dataErrorf(RejectMalformed, "no sequence number from 1 to %d", uint64(MaxSeq))
	case d.Clock > ClockBoot:
		return nil, dataErrorf(RejectMalformed, "unknown clock %d", d.Clock)
	case s == nil:
		return nil, dataErrorf(RejectNoSchema, "no schema")
	case len(d.Times) == 0 || len(d.Columns) == 0:
		return nil, dataErrorf(RejectMalformed, "no sample or no column")
	case len(d.Times) > MaxSamples || len(d.Times)*len(d.Columns) > MaxReadings:
		return nil, dataErrorf(RejectLimit, "%d samples in %d columns, at most %d samples and %d values",
			len(d.Times), len(d.Columns), MaxSamples, MaxReadings)
	}
	start := len(dst)
	dst, err := d.appendTimes(dst)
	if err != nil {
		return nil, err
	}
	next := 0 // lowest id allowed now
	for i := range d.Columns {
		c := &d.Columns[i]
		if int(c.ID) < next {
			return nil, dataErrorf(RejectMalformed, "channel %d is not above the one before", c.ID)
		}
		next = int(c.ID) + 1
		if err := c.check(len(d.Times), s); err != nil {
			return nil, err
		}
		if dst = c.append(dst, len(d.Times)); len(dst)-start > MaxMessage {
			return nil, dataErrorf(RejectLimit, "more than %d bytes", MaxMessage)
		}
	}
	return dst, nil
}

// appendTimes writes all that stands before the columns.
func (d *Data) appendTimes(dst []byte) ([]byte, *DataError) {
	unitIndex, err := coarsestUnit(d.Times)
	if err != nil {
		return nil, err
	}
	flags := byte(unitIndex) << flagUnitShift
	if d.Clock == ClockBoot {
		flags |= flagBoot
	}
	dst = append(dst, byte(TypeData))
	dst = binary.AppendUvarint(dst, d.Seq)
	dst = append(dst, flags)
	if d.Clock == ClockBoot {
		dst = binary.AppendUvarint(dst, d.Boot)
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Times[0]))
	dst = binary.AppendUvarint(dst, uint64(len(d.Times)))
	before := int64(0)
	for i := 1; i < len(d.Times); i++ {
		delta := (d.Times[i] - d.Times[i-1]) / timeUnits[unitIndex]
		change, ok := subInt64(delta, before)
		if !ok {
			return nil, dataErrorf(RejectBadValue, "time %d is too far from the one before", i)
		}
		dst = binary.AppendUvarint(dst, zigzag(change))
		before = delta
	}
	return dst, nil
}

// coarsestUnit is the index of the coarsest unit of which all differences between neighbouring times are multiples.
func coarsestUnit(times []int64) (int, *DataError) {
	if len(times) == 1 {
		return 0, nil // nothing is counted in it
	}
	unit := len(timeUnits) - 1
	for i := 1; i < len(times); i++ {
		delta, ok := subInt64(times[i], times[i-1])
		if !ok {
			return 0, dataErrorf(RejectBadValue, "time %d is too far from the one before", i)
		}
		for delta%timeUnits[unit] != 0 {
			unit--
		}
	}
	return unit, nil
}

// check tells whether the column can be written for this many samples.
func (c *Column) check(samples int, s *Schema) *DataError {
	ch, ok := s.Channel(c.ID)
	if !ok {
		return dataErrorf(RejectUnknownChannel, "the schema has no channel %d", c.ID)
	}
	values := len(c.Bits)
	if ch.Type == String {
		values = len(c.Text)
	}
	if c.Type != ch.Type || values != samples || c.Present != nil && len(c.Present) != samples {
		return dataErrorf(RejectBadValue, "channel %d: the column is not of %d values of type %v", c.ID, samples, ch.Type)
	}
	for i := range samples {
		if c.absent(i) {
			continue
		}
		if err := c.checkValue(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Column) checkValue(i int) *DataError {
	switch c.Type {
	case Bool:
		if c.Bits[i] > 1 {
			return dataErrorf(RejectBadValue, "channel %d: sample %d is neither 0 nor 1", c.ID, i)
		}
	case Float32:
		f := math.Float64frombits(c.Bits[i])
		if math.IsInf(float64(float32(f)), 0) && !math.IsInf(f, 0) {
			return dataErrorf(RejectBadValue, "channel %d: sample %d does not fit 32 bits", c.ID, i)
		}
	case String:
		if len(c.Text[i]) > MaxString {
			return dataErrorf(RejectLimit, "channel %d: sample %d has %d bytes, at most %d", c.ID, i, len(c.Text[i]), MaxString)
		}
		if !utf8.Valid(c.Text[i]) {
			return dataErrorf(RejectBadValue, "channel %d: sample %d is not UTF-8", c.ID, i)
		}
	}
	return nil
}

// append writes the column: head, presence bitmap where a value is absent, values.
func (c *Column) append(dst []byte, samples int) []byte {
	present := c.readings(samples)
	head := uint64(c.ID) << headIDShift
	length := c.valuesLen(present)
	if present < samples {
		head |= headPresence
		length += bitmapLen(samples)
	}
	if length <= headLength {
		dst = binary.AppendUvarint(dst, head|uint64(length))
	} else {
		dst = binary.AppendUvarint(dst, head)
		dst = binary.AppendUvarint(dst, uint64(length))
	}
	if present < samples {
		dst = c.appendPresence(dst)
	}
	return c.appendValues(dst, samples, present)
}

func (c *Column) appendPresence(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, bitmapLen(len(c.Present)))...)
	for i, p := range c.Present {
		if p {
			dst[start+i/8] |= 1 << (i % 8)
		}
	}
	return dst
}

// valuesLen is how many bytes appendValues writes.
func (c *Column) valuesLen(present int) int {
	n := 0
	switch c.Type {
	case Bool:
		n = bitmapLen(present)
	case Int:
		before := uint64(0)
		for i, v := range c.Bits {
			if !c.absent(i) {
				n += uvarintLen(zigzag(int64(v - before)))
				before = v
			}
		}
	case Float32:
		n = 4 * present
	case Float64:
		n = 8 * present
	case String:
		for i, text := range c.Text {
			if !c.absent(i) {
				n += uvarintLen(uint64(len(text))) + len(text)
			}
		}
	}
	return n
}

// appendValues writes the values of the present samples.
func (c *Column) appendValues(dst []byte, samples, present int) []byte {
	start, k := len(dst), 0
	if c.Type == Bool {
		dst = append(dst, make([]byte, bitmapLen(present))...)
	}
	before := uint64(0)
	for i := range samples {
		if c.absent(i) {
			continue
		}
		switch c.Type {
		case Bool:
			dst[start+k/8] |= byte(c.Bits[i]) << (k % 8)
			k++
		case Int:
			dst = binary.AppendUvarint(dst, zigzag(int64(c.Bits[i]-before)))
			before = c.Bits[i]
		case Float32:
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(math.Float64frombits(c.Bits[i]))))
		case Float64:
			dst = binary.LittleEndian.AppendUint64(dst, c.Bits[i])
		case String:
			dst = binary.AppendUvarint(dst, uint64(len(c.Text[i])))
			dst = append(dst, c.Text[i]...)
		}
	}
	return dst
}
