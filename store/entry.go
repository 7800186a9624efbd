package store

import (
	"encoding/binary"
	"errors"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// A journal entry is one byte, whose three low bits are its kind, and its fields. Integers are varints, "bytes" are a
// varint length and the bytes.
//
//	source     number, device bytes, stream, SCHEMA message bytes   before the first frame of a source in each segment
//	frame      source number, offset zigzag µs if bit 3 of the first byte is set, the DATA message to the
//	           end; the time quality is in bits 4 and 5 of the first byte
//	reject     device bytes, stream, seq, code u8, text bytes, the message to the end
//	lost       device bytes, stream, first, last, reason u8
//	duplicates device bytes, count
//	boot       device bytes, boot, offset zigzag µs
//	forget     device bytes                                         the device was removed
//	clock      machine, then base, by and held, zigzag µs           the hub's clock was set; see clockMove. First of its block
type entryKind byte

const (
	entryClock      entryKind = 0
	entrySource     entryKind = 1
	entryFrame      entryKind = 2
	entryReject     entryKind = 3
	entryLost       entryKind = 4
	entryDuplicates entryKind = 5
	entryBoot       entryKind = 6
	entryForget     entryKind = 7

	kindMask     = 0x07
	frameOffset  = 0x08
	qualityShift = 4
)

var errEntry = errors.New("store: malformed journal entry")

// entry is any decoded entry. Its slices alias the bytes it was parsed from.
type entry struct {
	kind    entryKind
	source  uint64 // number
	device  []byte
	stream  uint64
	quality history.Quality
	offset  int64
	boot    uint64
	seq     uint64 // reject
	code    byte   // reject, lost
	first   uint64 // lost
	last    uint64 // lost
	count   uint64 // duplicates
	text    []byte
	message []byte // DATA, or SCHEMA of a source
	move    clockMove
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendSource(dst []byte, src *source) []byte {
	dst = binary.AppendUvarint(append(dst, byte(entrySource)), src.number)
	dst = binary.AppendUvarint(appendString(dst, src.device), src.stream)
	return appendBytes(dst, src.message)
}

func appendFrame(dst []byte, source uint64, t Timing, message []byte) []byte {
	first := byte(entryFrame) | byte(t.Quality)<<qualityShift
	if t.Offset != 0 {
		first |= frameOffset
	}
	dst = binary.AppendUvarint(append(dst, first), source)
	if t.Offset != 0 {
		dst = binary.AppendVarint(dst, t.Offset)
	}
	return append(dst, message...)
}

func appendReject(dst []byte, deviceID string, stream, seq uint64, code device.RejectCode, text string, message []byte) []byte {
	dst = appendString(append(dst, byte(entryReject)), deviceID)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, stream), seq)
	dst = appendString(append(dst, byte(code)), text)
	return append(dst, message...)
}

func appendLost(dst []byte, deviceID string, stream uint64, l *device.Lost) []byte {
	dst = binary.AppendUvarint(appendString(append(dst, byte(entryLost)), deviceID), stream)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, l.First), l.Last)
	return append(dst, byte(l.Reason))
}

func appendDuplicates(dst []byte, deviceID string, count uint64) []byte {
	return binary.AppendUvarint(appendString(append(dst, byte(entryDuplicates)), deviceID), count)
}

func appendBoot(dst []byte, deviceID string, boot uint64, offset int64) []byte {
	dst = binary.AppendUvarint(appendString(append(dst, byte(entryBoot)), deviceID), boot)
	return binary.AppendVarint(dst, offset)
}

func appendForget(dst []byte, deviceID string) []byte {
	return appendString(append(dst, byte(entryForget)), deviceID)
}

func appendClock(dst []byte, m clockMove) []byte {
	dst = binary.AppendUvarint(append(dst, byte(entryClock)), m.machine)
	return binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(dst, m.base), m.by), m.held)
}

// parseEntry decodes b into e.
func parseEntry(b []byte, e *entry) error {
	if len(b) == 0 {
		return errEntry
	}
	r := fields{b: b[1:]}
	*e = entry{kind: entryKind(b[0] & kindMask)}
	if e.kind != entryFrame && b[0] != byte(e.kind) || b[0]>>(qualityShift+2) != 0 {
		return errEntry
	}
	switch e.kind {
	case entrySource:
		e.source, e.device, e.stream, e.message = r.uvarint(), r.bytes(), r.uvarint(), r.bytes()
	case entryFrame:
		e.source, e.quality = r.uvarint(), history.Quality(b[0]>>qualityShift&3)
		if b[0]&frameOffset != 0 {
			e.offset = r.varint()
		}
		e.message = r.rest()
	case entryReject:
		e.device, e.stream, e.seq = r.bytes(), r.uvarint(), r.uvarint()
		e.code, e.text, e.message = r.byte(), r.bytes(), r.rest()
	case entryLost:
		e.device, e.stream, e.first, e.last, e.code = r.bytes(), r.uvarint(), r.uvarint(), r.uvarint(), r.byte()
	case entryDuplicates:
		e.device, e.count = r.bytes(), r.uvarint()
	case entryBoot:
		e.device, e.boot, e.offset = r.bytes(), r.uvarint(), r.varint()
	case entryForget:
		e.device = r.bytes()
	case entryClock:
		e.move = clockMove{machine: r.uvarint(), base: r.varint(), by: r.varint(), held: r.varint()}
	default:
		return errEntry
	}
	if r.bad || len(r.b) > 0 {
		return errEntry
	}
	return nil
}

// fields reads an entry's fields; after a bad one it yields zeros.
type fields struct {
	b   []byte
	bad bool
}

func (r *fields) fail() { r.b, r.bad = nil, true }

func (r *fields) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *fields) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *fields) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *fields) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *fields) rest() []byte {
	v := r.b
	r.b = nil
	return v
}
