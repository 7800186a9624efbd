// Package tail is how committed frames are read: what the entries of the journal mean, and the reader that hands them, decoded, to
// everything that follows the journal.
package tail

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// An entry is one byte, whose three low bits are its kind, and its fields. Integers are varints, "bytes" are a varint
// length and the bytes.
//
//	source     number, device bytes, stream, SCHEMA message bytes   before the first frame of a source in each segment
//	frame      source number, offset zigzag µs if bit 3 of the first byte is set, the DATA message to the
//	           end; the time quality is in bits 4 and 5 of the first byte
//	reject     device bytes, stream, seq, code u8, text bytes, the message to the end
//	lost       device bytes, stream, first, last, reason u8
//	duplicates device bytes, count
//	boot       device bytes, boot, offset zigzag µs
//	removal    device bytes                                         the device was removed
//	clock      machine, then base, by and held, zigzag µs           the hub's clock was set; see ClockMove. First of its block

// Kind is what an entry is of.
type Kind uint8

const (
	KindClock      Kind = 0 // Move
	KindSource     Kind = 1 // Number, Device, Stream and Message, which is a SCHEMA message
	KindFrame      Kind = 2 // Number, Timing and Message, which is a DATA message; of a Reader also Source and Device, and Data decodes it
	KindReject     Kind = 3 // Device, Stream, Seq, Code, Text and Message, which may be anything
	KindLost       Kind = 4 // Device, Stream, First, Last and Reason
	KindDuplicates Kind = 5 // Device and Count
	KindBoot       Kind = 6 // Device, Boot and Timing.Offset
	KindRemoval    Kind = 7 // Device: it was removed, and with it what was known of it

	// What only a Reader returns.
	KindGap        Kind = 8  // Gap: it is damaged
	KindOverleap   Kind = 9  // Gap: it was trimmed before it was read
	KindUnreadable Kind = 10 // Err

	kindMask     = 0x07
	frameOffset  = 0x08
	qualityShift = 4
)

var (
	// ErrEntry is returned for bytes that are no entry.
	ErrEntry = errors.New("tail: malformed journal entry")
	// ErrNoSource is wrong with a frame if the block that defined its source was damaged.
	ErrNoSource = errors.New("the schema of its frames stood in what is damaged")
)

// Entry is one decoded entry. Its kind says which of the other fields are set. Message aliases the bytes that it was parsed from.
type Entry struct {
	Kind     Kind
	Position uint64    // set by a Reader
	Received time.Time // set by a Reader: when the commit that it came with began to be filled

	Number  uint64 // of the source
	Source  *Source
	Device  string
	Stream  uint64
	Timing  Timing
	Message []byte

	Seq         uint64 // 0: it could not be read
	Code        device.RejectCode
	Text        string
	First, Last uint64 // sequence numbers
	Reason      device.LostReason
	Count       uint64 // of duplicates
	Boot        uint64
	Move        ClockMove

	Gap *Gap
	Err error

	reader *Reader // nil: it does not come from one
}

// Timing says how the times of a frame become hub time.
type Timing struct {
	Offset  int64 // µs to add to the frame's times
	Quality Quality
}

// Quality says how far a reading's time can be trusted.
type Quality uint8

const (
	QualityDevice    Quality = 0 // the device's own clock
	QualityConverted Quality = 1 // converted from the time since the device's boot
	QualityReceived  Quality = 2 // the time of receipt: the device's boot is unknown
	QualityDoubtful  Quality = 3 // the device's own clock, which is known to be wrong
)

// ClockMove says that the hub's clock was set, or that it is not known whether it was, because the machine has booted since. From its
// position on, times of receipt are by the new clock.
type ClockMove struct {
	Machine uint64 // names the boot of the machine; 0: not known
	Base    int64  // µs since 1970 at which the machine booted, by the new clock
	By      int64  // µs to add to older times of receipt to have them by the new clock
	Held    int64  // µs since 1970: when it was decided that By is not known; 0: it is known
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// AppendSource appends an entry of KindSource.
func AppendSource(dst []byte, src *Source) []byte {
	dst = binary.AppendUvarint(append(dst, byte(KindSource)), src.Number)
	dst = binary.AppendUvarint(appendString(dst, src.Device), src.Stream)
	return appendBytes(dst, src.Message)
}

// AppendFrame appends an entry of KindFrame.
func AppendFrame(dst []byte, source uint64, t Timing, message []byte) []byte {
	first := byte(KindFrame) | byte(t.Quality)<<qualityShift
	if t.Offset != 0 {
		first |= frameOffset
	}
	dst = binary.AppendUvarint(append(dst, first), source)
	if t.Offset != 0 {
		dst = binary.AppendVarint(dst, t.Offset)
	}
	return append(dst, message...)
}

// AppendReject appends an entry of KindReject.
func AppendReject(dst []byte, deviceID string, stream, seq uint64, code device.RejectCode, text string, message []byte) []byte {
	dst = appendString(append(dst, byte(KindReject)), deviceID)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, stream), seq)
	dst = appendString(append(dst, byte(code)), text)
	return append(dst, message...)
}

// AppendLost appends an entry of KindLost.
func AppendLost(dst []byte, deviceID string, stream uint64, l *device.Lost) []byte {
	dst = binary.AppendUvarint(appendString(append(dst, byte(KindLost)), deviceID), stream)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, l.First), l.Last)
	return append(dst, byte(l.Reason))
}

// AppendDuplicates appends an entry of KindDuplicates.
func AppendDuplicates(dst []byte, deviceID string, count uint64) []byte {
	return binary.AppendUvarint(appendString(append(dst, byte(KindDuplicates)), deviceID), count)
}

// AppendBoot appends an entry of KindBoot.
func AppendBoot(dst []byte, deviceID string, boot uint64, offset int64) []byte {
	dst = binary.AppendUvarint(appendString(append(dst, byte(KindBoot)), deviceID), boot)
	return binary.AppendVarint(dst, offset)
}

// AppendRemoval appends an entry of KindRemoval.
func AppendRemoval(dst []byte, deviceID string) []byte {
	return appendString(append(dst, byte(KindRemoval)), deviceID)
}

// AppendClock appends an entry of KindClock.
func AppendClock(dst []byte, m ClockMove) []byte {
	dst = binary.AppendUvarint(append(dst, byte(KindClock)), m.Machine)
	return binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(dst, m.Base), m.By), m.Held)
}

// Parse decodes b into e.
func Parse(b []byte, e *Entry) error {
	if len(b) == 0 {
		return ErrEntry
	}
	r := fields{b: b[1:]}
	if kind := Kind(b[0] & kindMask); kind != KindFrame || e.Kind != KindFrame {
		*e = Entry{Kind: kind} // from frame to frame, what follows sets all there is
	}
	if e.Kind != KindFrame && b[0] != byte(e.Kind) || b[0]>>(qualityShift+2) != 0 {
		return ErrEntry
	}
	switch e.Kind {
	case KindSource:
		e.Number, e.Device, e.Stream, e.Message = r.uvarint(), r.string(), r.uvarint(), r.bytes()
	case KindFrame:
		e.Number, e.Timing.Quality = r.uvarint(), Quality(b[0]>>qualityShift&3)
		if e.Timing.Offset = 0; b[0]&frameOffset != 0 {
			e.Timing.Offset = r.varint()
		}
		e.Message = r.rest()
	case KindReject:
		e.Device, e.Stream, e.Seq = r.string(), r.uvarint(), r.uvarint()
		e.Code, e.Text, e.Message = device.RejectCode(r.byte()), r.string(), r.rest()
	case KindLost:
		e.Device, e.Stream, e.First, e.Last, e.Reason = r.string(), r.uvarint(), r.uvarint(), r.uvarint(), device.LostReason(r.byte())
	case KindDuplicates:
		e.Device, e.Count = r.string(), r.uvarint()
	case KindBoot:
		e.Device, e.Boot, e.Timing.Offset = r.string(), r.uvarint(), r.varint()
	case KindRemoval:
		e.Device = r.string()
	case KindClock:
		e.Move = ClockMove{Machine: r.uvarint(), Base: r.varint(), By: r.varint(), Held: r.varint()}
	}
	if r.bad || len(r.b) > 0 {
		return ErrEntry
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

func (r *fields) string() string { return string(r.bytes()) }

func (r *fields) rest() []byte {
	v := r.b
	r.b = nil
	return v
}
