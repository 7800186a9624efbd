package socket

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const (
	maxControl = 125 // bytes of a control frame's payload (RFC 6455 §5.5)

	closeInvalidData device.CloseCode = 1007 // text that is not UTF-8 (RFC 6455 §7.4.1)
)

// header is the header of a frame from a client.
type header struct {
	fin    bool
	opcode byte
	length int // bytes of the payload
	mask   [4]byte
}

func (h *header) control() bool { return h.opcode >= opClose }

// broken is a frame that RFC 6455 does not allow.
func broken(format string, args ...any) error {
	return &Broken{Code: device.CloseProtocolError, Text: "broken WebSocket frame: " + fmt.Sprintf(format, args...)}
}

// readHeader reads the header of a client's frame and refuses with *Broken what RFC 6455 §5.2 does not allow.
func readHeader(br *bufio.Reader) (h header, err error) {
	b, err := br.Peek(2)
	if err != nil {
		return h, err
	}
	h.fin, h.opcode = b[0]&0x80 != 0, b[0]&0x0f
	n := uint64(b[1] & 0x7f)
	switch {
	case b[0]&0x70 != 0:
		return h, broken("the reserved bits must be 0")
	case h.opcode > opBinary && h.opcode < opClose || h.opcode > opPong:
		return h, broken("opcode %d is unknown", h.opcode)
	case b[1]&0x80 == 0:
		return h, broken("a client must mask it")
	case h.control() && (n > maxControl || !h.fin):
		return h, broken("a control frame has at most %d bytes, and one piece", maxControl)
	}
	size := 2
	switch n {
	case 126:
		size += 2
		if b, err = br.Peek(size); err != nil {
			return h, err
		}
		if n = uint64(binary.BigEndian.Uint16(b[2:])); n < 126 {
			return h, broken("its length is not in the shortest form")
		}
	case 127:
		size += 8
		if b, err = br.Peek(size); err != nil {
			return h, err
		}
		if n = binary.BigEndian.Uint64(b[2:]); n <= math.MaxUint16 || n > math.MaxInt64 {
			return h, broken("its length is not in the shortest form")
		}
	}
	h.length = int(min(n, math.MaxInt32)) // more than anybody allows
	if b, err = br.Peek(size + len(h.mask)); err != nil {
		return h, err
	}
	copy(h.mask[:], b[size:])
	_, err = br.Discard(size + len(h.mask))
	return h, err
}

// appendHeader appends the header of a whole message or a control frame from a server: unmasked, in one piece.
func appendHeader(dst []byte, opcode byte, length int) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
	}
}

// unmask takes the mask off a part of a payload, which begins at an offset in it (RFC 6455 §5.3).
func unmask(b []byte, mask [4]byte, offset int) {
	var key [8]byte
	for i := range key {
		key[i] = mask[(offset+i)%4]
	}
	word := binary.LittleEndian.Uint64(key[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i]
	}
}

// validUpTo returns how many bytes of b are whole letters in UTF-8, and false if what follows can't become one.
func validUpTo(b []byte) (n int, ok bool) {
	for n < len(b) {
		if b[n] < utf8.RuneSelf {
			n++
			continue
		}
		if !utf8.FullRune(b[n:]) {
			return n, true
		}
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			return n, false
		}
		n += size
	}
	return n, true
}

// parseClose takes the payload of a Close frame apart (RFC 6455 §5.5.1, §7.4). It refuses with *Broken what is wrong in it.
func parseClose(b []byte) (*Closed, error) {
	if len(b) == 0 {
		return &Closed{}, nil
	}
	if len(b) == 1 {
		return nil, broken("half a close code")
	}
	code := device.CloseCode(binary.BigEndian.Uint16(b))
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
	default:
		return nil, broken("%d is no close code", code)
	}
	if !utf8.Valid(b[2:]) {
		return nil, &Broken{Code: closeInvalidData, Text: "the reason for closing must be UTF-8"}
	}
	return &Closed{Code: code, Reason: string(b[2:])}, nil
}

// closeBody is the payload of a Close frame; text is cut to what a control frame can hold (RFC 6455 §5.5).
func closeBody(code device.CloseCode, text string) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), uint16(code))
	for _, r := range text { // what is not UTF-8 becomes U+FFFD; a letter is not cut in two
		if len(b)+utf8.RuneLen(r) > maxControl {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}
