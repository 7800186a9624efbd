package history

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// format is what all readings of a block have in common.
type format struct {
	hash    device.Hash
	schema  *device.Schema
	message []byte // SCHEMA
	quality tail.Quality
}

// buffer holds what the history knows of one device: frames not yet in the file, as received, and the blocks that are in the
// file but not in its index.
type buffer struct {
	memory  *slabs
	device  string
	last    uint64 // position of the newest frame taken
	first   uint64 // position of the oldest frame in raw; 0 if there is none
	raw     []byte // records: see append
	size    int    // bytes of the DATA messages in raw
	weight  int64  // bytes of memory that raw and formats hold
	head    mark   // what the first record of raw counts from
	tail    mark   // what the next record will count from
	formats []format
	pending []entry // in order of number

	// How frames become blocks; owned by the writer.
	newest [openBlocks]int64
	target int // about as many bytes of DATA messages fill a block
	full   bool
	taken  *taking
}

// mark is the part of a record that is written as a difference to the record before.
type mark struct {
	position uint64
	received int64 // ms since 1970
	offset   int64 // µs
}

func newBuffer(deviceID string, memory *slabs) *buffer {
	b := &buffer{memory: memory, device: deviceID, target: targetStart}
	for i := range b.newest {
		b.newest[i] = math.MinInt64
	}
	return b
}

// maxRecordHead is how many bytes of a record come before the message, at most.
const maxRecordHead = 5 * binary.MaxVarintLen64

// add appends a frame and returns by how much the weight grew.
func (b *buffer) add(m mark, f format, data []byte) int64 {
	before := b.weight
	if b.first == 0 {
		b.first = m.position
	}
	start := len(b.raw)
	b.raw = b.memory.room(b.raw, maxRecordHead+len(data))
	b.raw = binary.AppendUvarint(b.raw, m.position-b.tail.position)
	b.raw = binary.AppendVarint(b.raw, m.received-b.tail.received)
	b.raw = binary.AppendVarint(b.raw, m.offset-b.tail.offset)
	b.raw = binary.AppendUvarint(b.raw, uint64(b.format(f)))
	b.raw = binary.AppendUvarint(b.raw, uint64(len(data)))
	b.raw = append(b.raw, data...)
	b.tail, b.last = m, m.position
	b.size += len(data)
	b.weight += int64(len(b.raw) - start)
	return b.weight - before
}

// schemaWeight is about how many times the memory of its message a schema takes.
const schemaWeight = 4

// format returns the index in formats of f.
func (b *buffer) format(f format) int {
	if n := len(b.formats); n > 0 {
		if b.has(f.hash) && b.formats[n-1].quality == f.quality {
			return n - 1
		}
		// A device that changes its schema with every frame must not fill the memory.
		b.weight += int64(len(f.message)) * schemaWeight
	}
	b.formats = append(b.formats, f)
	return len(b.formats) - 1
}

// has tells whether the newest frame has this schema.
func (b *buffer) has(hash device.Hash) bool {
	n := len(b.formats)
	return n > 0 && b.formats[n-1].hash == hash
}

// drop forgets the frames before rest, which are records of b, and returns by how much the weight shrank.
func (b *buffer) drop(rest records) int64 {
	before := b.weight
	last, old := b.last, b.raw
	b.first, b.raw, b.size, b.weight, b.formats = 0, nil, 0, 0, nil
	b.head, b.tail = rest.mark, rest.mark
	for f, data, ok := rest.next(); ok; f, data, ok = rest.next() {
		b.add(rest.mark, *f, data)
	}
	b.last = last
	b.memory.put(old)
	return before - b.weight
}

// dropThrough forgets the frames up to a position.
func (b *buffer) dropThrough(position uint64) int64 {
	rest := b.records()
	for b.first != 0 {
		after := rest
		if _, _, ok := after.next(); !ok || after.position > position {
			break
		}
		rest = after
	}
	return b.drop(rest)
}

// records reads the records of a buffer.
type records struct {
	mark
	rest    []byte
	formats []format
}

func (b *buffer) records() records {
	return records{mark: b.head, rest: b.raw, formats: b.formats}
}

// snapshot returns the records in memory of their own.
func (b *buffer) snapshot() records {
	return records{mark: b.head, rest: slices.Clone(b.raw), formats: slices.Clone(b.formats)}
}

// next returns the next record; its mark is then r.mark.
func (r *records) next() (f *format, data []byte, ok bool) {
	if len(r.rest) == 0 {
		return nil, nil, false
	}
	d := decoder{rest: r.rest}
	r.position += d.uvarint()
	r.received += d.varint()
	r.offset += d.varint()
	f = &r.formats[d.uvarint()]
	data = d.bytes(d.uvarint())
	r.rest = d.rest
	return f, data, true
}
