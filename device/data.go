package device

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Data is one DATA message: samples, each a time and up to one value for every column.
//
// A Data that ParseData has filled keeps its memory for the next call: at most about 300 KiB in the worst case that the
// limits allow, and a few hundred bytes for usual frames.
type Data struct {
	Seq     uint64   // 1 to MaxSeq
	Clock   Clock    // what Times count from
	Boot    uint64   // boot counter, if Clock is ClockBoot
	Times   []int64  // µs; in any order, repeated ones too
	Columns []Column // by ascending ID

	// What ParseData cuts the columns' slices from.
	present []bool
	bits    []uint64
	text    [][]byte
}

// Column holds the values of one channel, one place for every sample.
type Column struct {
	ID      uint16
	Type    ValueType // of the channel
	Present []bool    // false where the sample has no value; nil: all have one
	Bits    []uint64  // nil for String, else one for each sample, see Value.Bits; 0 where absent
	Text    [][]byte  // String only, one for each sample; after ParseData they alias the message
}

// Readings is how many values the message holds.
func (d *Data) Readings() int {
	n := 0
	for i := range d.Columns {
		n += d.Columns[i].readings(len(d.Times))
	}
	return n
}

// readings is how many of the samples have a value in this column.
func (c *Column) readings(samples int) int {
	if c.Present == nil {
		return samples
	}
	n := 0
	for _, p := range c.Present {
		if p {
			n++
		}
	}
	return n
}

// DataError says why a DATA message cannot be taken. A hub answers with a Reject of the same content.
type DataError struct {
	Seq  uint64 // 0 if it could not be read
	Code RejectCode
	Text string
}

func (e *DataError) Error() string {
	return fmt.Sprintf("frame %d: %v: %s", e.Seq, e.Code, e.Text)
}

func dataErrorf(code RejectCode, format string, args ...any) *DataError {
	return &DataError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Bits of the flags byte.
const (
	flagBoot      = 1 << 0 // t0 counts from the boot whose counter follows
	flagUnitShift = 1      // two bits: index into timeUnits
	flagUnitMask  = 3 << flagUnitShift
	flagsDefined  = flagBoot | flagUnitMask
)

// timeUnits are the units of the time deltas, in µs.
var timeUnits = [...]int64{1, 1_000, 1_000_000}

// ParseData reads a whole DATA message, type byte included, into d, whose memory it reuses: after a few frames of a device
// it allocates nothing. s is the device's schema, nil if it has announced none. The error is a *DataError; d then holds
// nothing of use. d must not be used while the message's memory is reused if it has String columns.
func ParseData(b []byte, s *Schema, d *Data) error {
	if err := d.parse(b, s); err != nil {
		err.Seq = d.Seq
		return err
	}
	return nil
}

func (d *Data) parse(b []byte, s *Schema) *DataError {
	clear(d.text)
	*d = Data{
		Times: d.Times[:0], Columns: d.Columns[:0],
		present: d.present[:0], bits: d.bits[:0], text: d.text[:0],
	}
	if len(b) == 0 || Type(b[0]) != TypeData {
		return dataErrorf(RejectMalformed, "not a DATA message")
	}
	seq, n := uvarint(b[1:])
	if n == 0 || seq == 0 || seq > MaxSeq {
		return dataErrorf(RejectMalformed, "no sequence number from 1 to %d as a shortest varint", uint64(MaxSeq))
	}
	d.Seq = seq
	if len(b) > MaxMessage {
		return dataErrorf(RejectLimit, "%d bytes, at most %d", len(b), MaxMessage)
	}
	if s == nil {
		return dataErrorf(RejectNoSchema, "no schema was announced")
	}
	rest, err := d.parseTimes(b[1+n:])
	if err != nil {
		return err
	}
	return d.parseColumns(rest, s)
}

// parseTimes reads from the flags to the last time and returns what follows.
func (d *Data) parseTimes(b []byte) ([]byte, *DataError) {
	if len(b) == 0 {
		return nil, dataErrorf(RejectMalformed, "it ends before the flags")
	}
	flags, b := b[0], b[1:]
	unitIndex := int(flags & flagUnitMask >> flagUnitShift)
	if flags&^flagsDefined != 0 || unitIndex >= len(timeUnits) {
		return nil, dataErrorf(RejectMalformed, "flags 0x%02x are not defined", flags)
	}
	if flags&flagBoot != 0 {
		boot, n := uvarint(b)
		if n == 0 {
			return nil, dataErrorf(RejectMalformed, "the boot counter is not a shortest varint")
		}
		d.Clock, d.Boot, b = ClockBoot, boot, b[n:]
	}
	if len(b) < 8 {
		return nil, dataErrorf(RejectMalformed, "it ends within t0")
	}
	t0, b := int64(binary.LittleEndian.Uint64(b)), b[8:]
	count, n := uvarint(b)
	switch {
	case n == 0 || count == 0:
		return nil, dataErrorf(RejectMalformed, "no sample count from 1 as a shortest varint")
	case count > MaxSamples:
		return nil, dataErrorf(RejectLimit, "%d samples, at most %d", count, MaxSamples)
	}
	return d.parseDeltas(b[n:], t0, int(count), timeUnits[unitIndex])
}

func (d *Data) parseDeltas(b []byte, t0 int64, count int, unit int64) ([]byte, *DataError) {
	d.Times = append(d.Times, t0)
	t, delta := t0, int64(0)
	for i := 1; i < count; i++ {
		change, n := uvarint(b)
		if n == 0 {
			return nil, dataErrorf(RejectMalformed, "time %d is not a shortest varint", i)
		}
		b = b[n:]
		var ok1, ok2 bool
		delta, ok1 = addInt64(delta, unzigzag(change))
		fits := math.MinInt64/unit <= delta && delta <= math.MaxInt64/unit
		t, ok2 = addInt64(t, delta*unit)
		if !ok1 || !ok2 || !fits {
			return nil, dataErrorf(RejectMalformed, "time %d does not fit 64 bits", i)
		}
		d.Times = append(d.Times, t)
	}
	return b, nil
}
