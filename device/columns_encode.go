package device

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

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
	switch c.Type {
	case Bool, Float32, String:
		for i := range samples {
			if c.absent(i) {
				continue
			}
			if err := c.checkValue(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkValue tells whether a value of a type that has not all of them can be written.
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
		dst = appendUvarint(dst, head|uint64(length))
	} else {
		dst = appendUvarint(dst, head)
		dst = appendUvarint(dst, uint64(length))
	}
	if present < samples {
		dst = c.appendPresence(dst)
	}
	switch c.Type {
	case Bool:
		return c.appendBools(dst, present)
	case Int:
		return c.appendInts(dst)
	case Float32:
		return c.appendFloats32(dst)
	case Float64:
		return c.appendFloats64(dst)
	default:
		return c.appendStrings(dst)
	}
}

// valuesLen is how many bytes the values take.
func (c *Column) valuesLen(present int) int {
	switch c.Type {
	case Bool:
		return bitmapLen(present)
	case Int:
		n, before := 0, uint64(0)
		for i, v := range c.Bits {
			if !c.absent(i) {
				n += uvarintLen(zigzag(int64(v - before)))
				before = v
			}
		}
		return n
	case Float32:
		return 4 * present
	case Float64:
		return 8 * present
	default:
		n := 0
		for i, text := range c.Text {
			if !c.absent(i) {
				n += uvarintLen(uint64(len(text))) + len(text)
			}
		}
		return n
	}
}

func (c *Column) appendPresence(dst []byte) []byte {
	dst, bitmap := cut(dst, bitmapLen(len(c.Present)))
	for i, p := range c.Present {
		if p {
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	return dst
}

func (c *Column) appendBools(dst []byte, present int) []byte {
	dst, bitmap := cut(dst, bitmapLen(present))
	k := 0
	for i, v := range c.Bits {
		if !c.absent(i) {
			bitmap[k/8] |= byte(v) << (k % 8)
			k++
		}
	}
	return dst
}

func (c *Column) appendInts(dst []byte) []byte {
	before := uint64(0)
	for i, v := range c.Bits {
		if !c.absent(i) {
			dst = appendUvarint(dst, zigzag(int64(v-before))) // wraps around
			before = v
		}
	}
	return dst
}

func (c *Column) appendFloats32(dst []byte) []byte {
	for i, v := range c.Bits {
		if !c.absent(i) {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(math.Float64frombits(v))))
		}
	}
	return dst
}

func (c *Column) appendFloats64(dst []byte) []byte {
	for i, v := range c.Bits {
		if !c.absent(i) {
			dst = binary.LittleEndian.AppendUint64(dst, v)
		}
	}
	return dst
}

func (c *Column) appendStrings(dst []byte) []byte {
	for i, text := range c.Text {
		if !c.absent(i) {
			dst = appendUvarint(dst, uint64(len(text)))
			dst = append(dst, text...)
		}
	}
	return dst
}
