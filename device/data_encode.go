package device

import "encoding/binary"

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
	dst = appendUvarint(dst, d.Seq)
	dst = append(dst, flags)
	if d.Clock == ClockBoot {
		dst = appendUvarint(dst, d.Boot)
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Times[0]))
	dst = appendUvarint(dst, uint64(len(d.Times)))
	before := int64(0)
	for i := 1; i < len(d.Times); i++ {
		delta := (d.Times[i] - d.Times[i-1]) / timeUnits[unitIndex]
		change, ok := subInt64(delta, before)
		if !ok {
			return nil, dataErrorf(RejectBadValue, "time %d is too far from the one before", i)
		}
		dst = appendUvarint(dst, zigzag(change))
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
