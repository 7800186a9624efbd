package device

import (
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"
)

// The head of a column: channel id, presence bit, and the length of the body if that is 1 to 7.
const (
	headIDShift  = 4
	headPresence = 1 << 3
	headLength   = 7
)

// parseColumns reads the columns, which reach to the end of the message.
func (d *Data) parseColumns(b []byte, s *Schema) *DataError {
	next := uint64(0) // lowest id allowed now
	at := 0           // of the channel that a column is most likely of: columns and channels are both by ascending id
	for len(b) > 0 {
		if (len(d.Columns)+1)*len(d.Times) > MaxReadings {
			return dataErrorf(RejectLimit, "more than %d values", MaxReadings)
		}
		head, n := uvarint(b)
		id := head >> headIDShift
		switch {
		case n == 0:
			return dataErrorf(RejectMalformed, "the head of column %d is not a shortest varint", len(d.Columns))
		case id > math.MaxUint16:
			return dataErrorf(RejectMalformed, "column %d has channel id %d, above 65535", len(d.Columns), id)
		case id < next:
			return dataErrorf(RejectMalformed, "channel %d is not above the one before", id)
		}
		next, b = id+1, b[n:]
		length := head & headLength
		if length == 0 {
			if length, n = uvarint(b); n == 0 {
				return dataErrorf(RejectMalformed, "the length of column %d is not a shortest varint", len(d.Columns))
			}
			b = b[n:]
		}
		if length > uint64(len(b)) {
			return dataErrorf(RejectMalformed, "channel %d: its values reach beyond the end", id)
		}
		if at >= len(s.Channels) || s.Channels[at].ID != uint16(id) {
			var ok bool
			if at, ok = s.search(uint16(id)); !ok {
				return dataErrorf(RejectUnknownChannel, "the schema has no channel %d", id)
			}
		}
		ch := &s.Channels[at]
		at++
		if err := d.parseColumn(ch, head&headPresence != 0, b[:length]); err != nil {
			return err
		}
		b = b[length:]
	}
	if len(d.Columns) == 0 {
		return dataErrorf(RejectMalformed, "no column")
	}
	return nil
}

// parseColumn reads the body of one column.
func (d *Data) parseColumn(ch *Channel, presence bool, body []byte) *DataError {
	d.Columns = reserve(d.Columns, 1)
	c := &d.Columns[len(d.Columns)-1]
	c.ID, c.Type, c.Present, c.Bits, c.Text = ch.ID, ch.Type, nil, nil, nil
	present, samples := len(d.Times), len(d.Times)
	if presence {
		var ok bool
		if c.Present, present, body, ok = d.parsePresence(body); !ok {
			return dataErrorf(RejectMalformed, "channel %d: its presence bitmap is cut or has unused bits", ch.ID)
		}
	}
	switch start := len(d.bits); {
	case c.Type == String:
		d.text, c.Text = cut(d.text, samples)
	case c.Type == Bool || c.Present != nil:
		d.bits, c.Bits = cut(d.bits, samples)
	default: // every value will be written
		d.bits = reserve(d.bits, samples)
		c.Bits = d.bits[start : start+samples : start+samples]
	}
	rest, err := c.parseValues(body, present)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return dataErrorf(RejectMalformed, "channel %d: %d bytes behind its values", ch.ID, len(rest))
	}
	return nil
}

// cut returns the next n elements behind those of arena, zeroed, and the longer arena. When the arena has to move, earlier
// cuts keep the old memory.
func cut[T any](arena []T, n int) (longer, piece []T) {
	start := len(arena)
	arena = reserve(arena, n)
	piece = arena[start : start+n : start+n]
	clear(piece)
	return arena, piece
}

// reserve makes arena n elements longer. What is in them is left from earlier use.
func reserve[T any](arena []T, n int) []T {
	if n > cap(arena)-len(arena) {
		arena = slices.Grow(arena, n)
	}
	return arena[:len(arena)+n]
}

// parsePresence reads the bitmap that says which samples have a value; nil stands for all of them.
func (d *Data) parsePresence(b []byte) (present []bool, count int, rest []byte, ok bool) {
	bitmap, rest, ok := takeBitmap(b, len(d.Times))
	if !ok {
		return nil, 0, nil, false
	}
	arena, present := cut(d.present, len(d.Times))
	for i := range present {
		if bit(bitmap, i) {
			present[i] = true
			count++
		}
	}
	if count == len(present) {
		return nil, count, rest, true
	}
	d.present = arena
	return present, count, rest, true
}

// takeBitmap splits a bitmap of n bits from the start of b. The unused bits of its last byte must be 0.
func takeBitmap(b []byte, n int) (bitmap, rest []byte, ok bool) {
	size := bitmapLen(n)
	if len(b) < size {
		return nil, nil, false
	}
	if used := n % 8; used != 0 && b[size-1]>>used != 0 {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// bitmapLen is how many bytes n bits take.
func bitmapLen(n int) int { return (n + 7) / 8 }

// bit is the i-th bit of a bitmap, the lowest bit of a byte first.
func bit(bitmap []byte, i int) bool { return bitmap[i/8]>>(i%8)&1 != 0 }

// parseValues reads the values of the present samples and returns what follows them.
func (c *Column) parseValues(b []byte, present int) (rest []byte, err *DataError) {
	ok := true
	switch c.Type {
	case Bool:
		rest, ok = c.parseBools(b, present)
	case Int:
		rest, ok = c.parseInts(b)
	case Float32:
		rest, ok = c.parseFloats32(b, present)
	case Float64:
		rest, ok = c.parseFloats64(b, present)
	case String:
		return c.parseStrings(b)
	default:
		return nil, dataErrorf(RejectUnknownChannel, "channel %d has the unknown type %d", c.ID, c.Type)
	}
	if !ok {
		return nil, dataErrorf(RejectMalformed, "channel %d: its values are cut or not of type %v", c.ID, c.Type)
	}
	return rest, nil
}

// absent tells whether sample i has no value.
func (c *Column) absent(i int) bool { return c.Present != nil && !c.Present[i] }

func (c *Column) parseBools(b []byte, present int) (rest []byte, ok bool) {
	bitmap, rest, ok := takeBitmap(b, present)
	if !ok {
		return nil, false
	}
	k := 0
	for i := range c.Bits {
		if c.absent(i) {
			continue
		}
		if bit(bitmap, k) {
			c.Bits[i] = 1
		}
		k++
	}
	return rest, true
}

func (c *Column) parseInts(b []byte) (rest []byte, ok bool) {
	v := int64(0)
	for i := range c.Bits {
		if c.absent(i) {
			continue
		}
		change, n := uvarint(b)
		if n == 0 {
			return nil, false
		}
		b = b[n:]
		v += unzigzag(change) // wraps around
		c.Bits[i] = uint64(v)
	}
	return b, true
}

func (c *Column) parseFloats32(b []byte, present int) (rest []byte, ok bool) {
	if len(b) < 4*present {
		return nil, false
	}
	for i := range c.Bits {
		if c.absent(i) {
			continue
		}
		c.Bits[i] = math.Float64bits(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		b = b[4:]
	}
	return b, true
}

func (c *Column) parseFloats64(b []byte, present int) (rest []byte, ok bool) {
	if len(b) < 8*present {
		return nil, false
	}
	for i := range c.Bits {
		if c.absent(i) {
			continue
		}
		c.Bits[i] = binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	return b, true
}

func (c *Column) parseStrings(b []byte) (rest []byte, err *DataError) {
	for i := range c.Text {
		if c.absent(i) {
			continue
		}
		length, n := uvarint(b)
		switch {
		case n == 0 || length > uint64(len(b)-n):
			return nil, dataErrorf(RejectMalformed, "channel %d: sample %d is cut", c.ID, i)
		case length > MaxString:
			return nil, dataErrorf(RejectLimit, "channel %d: sample %d has %d bytes, at most %d", c.ID, i, length, MaxString)
		}
		text := b[n : n+int(length) : n+int(length)]
		if !utf8.Valid(text) {
			return nil, dataErrorf(RejectBadValue, "channel %d: sample %d is not UTF-8", c.ID, i)
		}
		c.Text[i], b = text, b[n+int(length):]
	}
	return b, nil
}
