package socket

import (
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
	opPong         = 10
)

const (
	maxHeader  = 14  // bytes of a frame's header with its mask (RFC 6455 §5.2)
	maxControl = 125 // bytes of a control frame's payload (RFC 6455 §5.5)

	closeInvalidData device.CloseCode = 1007 // text that is not UTF-8 (RFC 6455 §7.4.1)
)

// checker reads along what a client sends, before gws gets to see it, and holds it to the letter of RFC 6455: gws panics on
// a length with its highest bit set, and takes lengths that are not in their shortest form, reasons for closing that are not
// UTF-8, and empty fragments without end. After the checks here, gws finds nothing to refuse.
type checker struct {
	maxMessage int  // bytes
	utf8       bool // text messages must be UTF-8

	head    [maxHeader]byte // the header of the frame that is coming
	have    int             // bytes of it that have come
	size    int             // of the whole header; 0: not known yet
	frame   header
	left    int    // bytes of the frame's payload that are still to come
	control []byte // payload of a control frame

	opcode    byte   // of the message whose fragments are coming; 0: none is
	fragments int    // of it
	length    int    // bytes of it that its headers have announced
	letter    []byte // the first bytes of a letter whose rest is still to come
}

// header is what a frame begins with.
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

var errNotText = &Broken{Code: closeInvalidData, Text: "a text message must be UTF-8"}

// check takes the next bytes of a connection, cut anywhere. It returns how many of them may be passed on, and why nothing that
// follows may: *Broken, or *Closed when the client has closed. What came before the frame that is at fault is passed on.
func (c *checker) check(b []byte) (n int, err error) {
	for at := 0; at < len(b); {
		if c.size == 0 || c.have < c.size {
			used, err := c.readHeader(b[at:])
			if at += used; err != nil {
				return n, err
			}
			if c.size == 0 || c.have < c.size {
				break
			}
		}
		part := b[at : at+min(c.left, len(b)-at)]
		if err := c.readPayload(part); err != nil {
			return n, err
		}
		at += len(part)
		if c.left -= len(part); c.left > 0 {
			break
		}
		if err := c.endFrame(); err != nil {
			return n, err
		}
		n = at
	}
	return len(b), nil
}

// readHeader takes bytes of a header, as many as it lacks, and refuses it as soon as it is known to be wrong.
func (c *checker) readHeader(b []byte) (used int, err error) {
	want := 2
	if c.size > 0 {
		want = c.size
	}
	for {
		k := copy(c.head[c.have:want], b[used:])
		c.have += k
		used += k
		if c.have < want {
			return used, nil
		}
		if c.size > 0 {
			return used, c.beginFrame()
		}
		if c.size, err = headerSize(c.head[0], c.head[1]); err != nil {
			return used, err
		}
		want = c.size
	}
}

// headerSize is the size of the header that begins with these two bytes (RFC 6455 §5.2).
func headerSize(first, second byte) (int, error) {
	opcode, length := first&0x0f, second&0x7f
	switch {
	case first&0x70 != 0:
		return 0, broken("the reserved bits must be 0")
	case opcode > opBinary && opcode < opClose || opcode > opPong:
		return 0, broken("opcode %d is unknown", opcode)
	case second&0x80 == 0:
		return 0, broken("a client must mask it")
	case opcode >= opClose && (length > maxControl || first&0x80 == 0):
		return 0, broken("a control frame has at most %d bytes, and one piece", maxControl)
	}
	switch length {
	case 126:
		return 2 + 2 + 4, nil
	case 127:
		return 2 + 8 + 4, nil
	default:
		return 2 + 4, nil
	}
}

// beginFrame begins the frame whose header is complete.
func (c *checker) beginFrame() error {
	h := header{fin: c.head[0]&0x80 != 0, opcode: c.head[0] & 0x0f}
	length, shortest := uint64(c.head[1]&0x7f), uint64(0)
	switch length {
	case 126:
		length, shortest = uint64(binary.BigEndian.Uint16(c.head[2:])), 126
	case 127:
		length, shortest = binary.BigEndian.Uint64(c.head[2:]), math.MaxUint16+1
	}
	if length < shortest || length > math.MaxInt64 {
		return broken("its length is not in the shortest form")
	}
	h.length = int(min(length, math.MaxInt32)) // more than anybody allows
	copy(h.mask[:], c.head[c.size-len(h.mask):])
	c.frame, c.left = h, h.length
	if h.control() {
		c.control = c.control[:0]
		return nil
	}
	return c.beginFragment()
}

func (c *checker) beginFragment() error {
	h := &c.frame
	switch {
	case h.opcode == opContinuation && c.opcode == 0:
		return broken("a fragment of nothing")
	case h.opcode != opContinuation && c.opcode != 0:
		return broken("a message between the fragments of another")
	case h.opcode != opContinuation:
		c.opcode = h.opcode
	}
	if c.fragments++; c.fragments > max(c.maxMessage, 16) { // they might all be empty
		return &Broken{Code: device.ClosePolicy, Text: "too many fragments"}
	}
	if h.length > c.maxMessage-c.length {
		return &Broken{Code: device.CloseTooBig, Text: fmt.Sprintf("a message may have at most %d bytes", c.maxMessage)}
	}
	c.length += h.length
	return nil
}

// readPayload takes the next bytes of a payload. What is not UTF-8 is refused as soon as it comes.
func (c *checker) readPayload(b []byte) error {
	if !c.frame.control() && (c.opcode != opText || !c.utf8) {
		return nil
	}
	at := c.frame.length - c.left
	for i, masked := range b {
		value := masked ^ c.frame.mask[(at+i)%4]
		switch {
		case c.frame.control():
			c.control = append(c.control, value)
		case len(c.letter) > 0 || value >= utf8.RuneSelf:
			if c.letter = append(c.letter, value); utf8.FullRune(c.letter) {
				if r, size := utf8.DecodeRune(c.letter); r == utf8.RuneError && size == 1 {
					return errNotText
				}
				c.letter = c.letter[:0]
			}
		}
	}
	return nil
}

// endFrame ends the frame that has come whole.
func (c *checker) endFrame() error {
	c.have, c.size = 0, 0
	h := &c.frame
	switch {
	case h.opcode == opClose:
		return parseClose(c.control)
	case h.control() || !h.fin:
		return nil
	case len(c.letter) > 0:
		return errNotText
	}
	c.opcode, c.fragments, c.length = 0, 0, 0
	return nil
}

// parseClose takes the payload of a Close frame apart (RFC 6455 §5.5.1, §7.4). It returns *Closed, or *Broken for what is
// wrong in it.
func parseClose(b []byte) error {
	if len(b) == 0 {
		return &Closed{}
	}
	if len(b) == 1 {
		return broken("half a close code")
	}
	code := device.CloseCode(binary.BigEndian.Uint16(b))
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
	default:
		return broken("%d is no close code", code)
	}
	if !utf8.Valid(b[2:]) {
		return &Broken{Code: closeInvalidData, Text: "the reason for closing must be UTF-8"}
	}
	return &Closed{Code: code, Reason: string(b[2:])}
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
