package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// The buffer file. All integers are little endian.
//
//	header  "TDB1" | stream u64 | first u64 | tail u64 | next u64 | CRC-32C u32 of the 36 bytes before
//	record  0xB5 0x7E | type u8 | length u16 | CRC-32C u32 of type, length and payload | payload
//
// The file accounts for every sequence number below the header's next or below a frame's: header and frames tell which ones no
// frame of the file has because they were settled before. Frames tell it of both sides, so that a damaged one takes no knowledge
// away but of itself. Whatever is missing then stood in a damaged part.
const (
	fileMagic    = "TDB1"
	headerSize   = 40
	recordMark   = "\xb5\x7e"
	recordHead   = 9
	frameHead    = 8 + device.HashSize
	maxPayload   = frameHead + 2*binary.MaxVarintLen64 + device.MaxMessage
	minFrameSize = recordHead + frameHead + 3

	rangeRecordSize = recordHead + 8 + 8 + 1
)

// The types of records and their payloads.
const (
	recordSchema  = 1 // SCHEMA message
	recordFrame   = 2 // seq u64 | hash of its schema, 8 bytes | settled directly before it, uvarint | and after it | DATA message
	recordSettled = 3 // first u64 | last u64: the hub has these
	recordLost    = 4 // first u64 | last u64 | reason u8: gone, and the hub has not acknowledged it
	recordCommand = 5 // id, 16 bytes: about to be carried out
	recordResult  = 6 // RESULT message
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the start of a buffer file.
type header struct {
	stream uint64
	first  uint64 // every lower number was settled when the file was made
	tail   uint64 // so was every one from here to below next
	next   uint64 // and none from here on was in use
}

func appendHeader(dst []byte, h header) []byte {
	start := len(dst)
	dst = append(dst, fileMagic...)
	for _, v := range []uint64{h.stream, h.first, h.tail, h.next} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

var errBadHeader = errors.New("not a buffer file, or its header is damaged")

func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize || string(b[:4]) != fileMagic ||
		crc32.Checksum(b[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return header{}, errBadHeader
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(b[4+8*i:]) }
	h := header{stream: field(0), first: field(1), tail: field(2), next: field(3)}
	if h.stream == 0 || h.first == 0 || h.tail < h.first || h.next < h.tail || h.next > device.MaxSeq+1 {
		return header{}, errBadHeader
	}
	return h, nil
}

// beginRecord appends a record's head; endRecord, given the length before it, fills it in once the payload is there.
func beginRecord(dst []byte, kind byte) []byte {
	return append(append(dst, recordMark...), kind, 0, 0, 0, 0, 0, 0)
}

func endRecord(dst []byte, start int) {
	r := dst[start:]
	binary.LittleEndian.PutUint16(r[3:], uint16(len(r)-recordHead))
	binary.LittleEndian.PutUint32(r[5:], recordSum(r))
}

// recordSum is the checksum of a whole record.
func recordSum(r []byte) uint32 {
	return crc32.Update(crc32.Checksum(r[2:5], castagnoli), castagnoli, r[recordHead:])
}

func appendRecord(dst []byte, kind byte, payload ...[]byte) []byte {
	start := len(dst)
	dst = beginRecord(dst, kind)
	for _, p := range payload {
		dst = append(dst, p...)
	}
	endRecord(dst, start)
	return dst
}

// appendFrameRecord appends the record of a frame, with how many numbers directly before and after its own are settled.
func appendFrameRecord(dst []byte, f *frame, before, after uint64) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(beginRecord(dst, recordFrame), f.seq)
	dst = append(dst, f.schema.hash[:]...)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, before), after)
	dst = append(dst, f.message...)
	endRecord(dst, start)
	return dst
}

// frameRecord is the payload of a frame's record.
type frameRecord struct {
	seq           uint64
	hash          device.Hash
	before, after uint64
	message       []byte
}

func parseFrame(payload []byte) (r frameRecord, ok bool) {
	if len(payload) < frameHead {
		return r, false
	}
	r.seq, r.hash = binary.LittleEndian.Uint64(payload), device.Hash(payload[8:frameHead])
	rest := payload[frameHead:]
	for _, v := range []*uint64{&r.before, &r.after} {
		n := 0
		if *v, n = binary.Uvarint(rest); n <= 0 {
			return r, false
		}
		rest = rest[n:]
	}
	r.message = rest
	return r, r.before < r.seq && r.seq <= device.MaxSeq && r.after <= device.MaxSeq-r.seq &&
		len(rest) > 0 && len(rest) <= device.MaxMessage
}

func appendRangeRecord(dst []byte, kind byte, first, last uint64, more ...byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(beginRecord(dst, kind), first)
	dst = append(binary.LittleEndian.AppendUint64(dst, last), more...)
	endRecord(dst, start)
	return dst
}

// parseRange reads what appendRangeRecord has written.
func parseRange(payload []byte) (first, last uint64, more []byte, ok bool) {
	if len(payload) < 16 {
		return 0, 0, nil, false
	}
	first, last = binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
	return first, last, payload[16:], first >= 1 && first <= last && last <= device.MaxSeq
}

// recordKind is the type of the record that b seems to begin with, 0 if it does not look like one.
func recordKind(b []byte) byte {
	if len(b) < 3 || string(b[:2]) != recordMark || b[2] > recordResult {
		return 0
	}
	return b[2]
}

// recordLen is the length of the record that b seems to begin with, 0 if it does not look like one.
func recordLen(b []byte) int {
	if len(b) < recordHead || recordKind(b) == 0 {
		return 0
	}
	if n := int(binary.LittleEndian.Uint16(b[3:])); n <= maxPayload {
		return recordHead + n
	}
	return 0
}

// intact is the length of the record at the start of b, 0 if there is none or it is damaged.
func intact(b []byte) int {
	n := recordLen(b)
	if n == 0 || n > len(b) || recordSum(b[:n]) != binary.LittleEndian.Uint32(b[5:]) {
		return 0
	}
	return n
}

// scanRecords hands every intact record of b to record, in order, and every stretch of damaged bytes between and behind
// them to damage.
func scanRecords(b []byte, record func(kind byte, payload []byte), damage func(bytes []byte)) {
	for len(b) > 0 {
		if n := intact(b); n > 0 {
			record(b[2], b[recordHead:n])
			b = b[n:]
			continue
		}
		bad := 1
		for bad < len(b) && intact(b[bad:]) == 0 {
			bad++
			if skip := bytes.Index(b[bad:], []byte(recordMark)); skip >= 0 {
				bad += skip
			} else {
				bad = len(b)
			}
		}
		damage(b[:bad])
		b = b[bad:]
	}
}

// maxFrames is how many frames damaged bytes can have held. A file system may leave zeros where a write never arrived.
func maxFrames(damaged []byte) (n uint64) {
	for b := bytes.TrimRight(damaged, "\x00"); len(b) > 0; {
		kind, size := recordKind(b), recordLen(b)
		switch {
		case kind == recordFrame:
			n++
		case kind == 0:
			return n + uint64((len(b)+minFrameSize-1)/minFrameSize)
		}
		if size == 0 || size > len(b) {
			return n // torn
		}
		b = b[size:]
	}
	return n
}
