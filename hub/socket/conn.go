package socket

import (
	"bufio"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Handler takes what a peer sends. Serve calls it, one call at a time.
type Handler interface {
	Message(binary bool, b []byte) // a whole message; b is valid until it returns
	Ping(payload []byte)           // to be answered by Conn.Pong
	Pong()
}

// Conn is one WebSocket connection.
type Conn struct {
	// static
	upgrader *Upgrader
	wire     wire
	br       *bufio.Reader

	// owned by Serve
	handler   Handler
	opcode    byte    // of the message whose fragments are coming; 0: none is
	message   *buffer // what has come of it; nil: nothing
	fragments int     // of it
	valid     int     // bytes of it that are known to be UTF-8

	// guarded by mu
	mu     sync.Mutex // held while a frame is written
	closed bool       // a Close frame was sent: nothing may follow
}

// Closed is the end of a connection that the peer has closed.
type Closed struct {
	Code   device.CloseCode // 0: none was given
	Reason string
}

func (e *Closed) Error() string {
	return fmt.Sprintf("closed by the peer with %d %q", e.Code, e.Reason)
}

// Broken is the end of a connection whose peer violated RFC 6455 or a limit. It has been sent this.
type Broken struct {
	Code device.CloseCode
	Text string
}

func (e *Broken) Error() string { return e.Text }

// Panic is the end of a connection whose handler panicked. The peer has been sent 1011.
type Panic struct {
	Value any
	Stack []byte
}

func (e *Panic) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// errClosed is returned for what was to be sent after a Close frame.
var errClosed = errors.New("the connection is being closed")

// Serve reads until the connection ends, and returns why: Closed, Broken, Panic, or the error of the connection itself,
// which says little if this side has closed it. Nothing is closed yet: HangUp must be called when nothing more is to be
// sent. Serve is called once.
func (c *Conn) Serve(h Handler) (end error) {
	c.handler = h
	defer c.dropMessage()
	defer func() {
		if reason := recover(); reason != nil {
			c.Close(device.CloseInternal, "the hub failed")
			end = &Panic{Value: reason, Stack: debug.Stack()}
		}
	}()
	for {
		err := c.readFrame()
		if err == nil {
			continue
		}
		if b, ok := errors.AsType[*Broken](err); ok {
			c.Close(b.Code, b.Text)
		}
		return err
	}
}

// readFrame reads one frame and hands over what is complete with it.
func (c *Conn) readFrame() error {
	h, err := readHeader(c.br)
	if err != nil {
		return err
	}
	if h.control() {
		return c.readControl(&h)
	}
	switch {
	case h.opcode == opContinuation && c.opcode == 0:
		return broken("a fragment of nothing")
	case h.opcode != opContinuation && c.opcode != 0:
		return broken("a message between the fragments of another")
	case h.opcode != opContinuation:
		c.opcode = h.opcode
	}
	o := &c.upgrader.options
	if c.fragments++; c.fragments > max(o.MaxReceived, 16) { // they might all be empty
		return &Broken{Code: device.ClosePolicy, Text: "too many fragments"}
	}
	held := 0
	if c.message != nil {
		held = len(c.message.b)
	}
	if h.length > o.MaxReceived-held {
		return &Broken{Code: device.CloseTooBig, Text: fmt.Sprintf("a message may have at most %d bytes", o.MaxReceived)}
	}
	if h.fin && c.fragments == 1 && h.length <= c.br.Buffered() { // as most do, it has come whole
		b, _ := c.br.Peek(h.length)
		unmask(b, h.mask, 0)
		if err := c.deliver(b); err != nil {
			return err
		}
		_, _ = c.br.Discard(h.length)
		return nil
	}
	if err := c.readPayload(&h); err != nil || !h.fin {
		return err
	}
	var b []byte
	if c.message != nil {
		b = c.message.b
	}
	err = c.deliver(b)
	c.dropMessage()
	return err
}

// readPart is how much of a payload is read at a time: memory grows with what has come, not with what a header promises.
const readPart = 4 << 10

// readPayload reads the payload of a frame of a message. What is not UTF-8 is refused as soon as it comes.
func (c *Conn) readPayload(h *header) error {
	for got := 0; got < h.length; {
		if c.message == nil {
			c.message = c.upgrader.buffers.get()
		}
		m := c.message
		m.b = slices.Grow(m.b, min(h.length-got, readPart))
		end := len(m.b)
		n, err := c.br.Read(m.b[end:min(cap(m.b), end+h.length-got)])
		m.b = m.b[:end+n]
		unmask(m.b[end:], h.mask, got)
		got += n
		if c.opcode == opText && c.upgrader.options.UTF8 {
			valid, ok := validUpTo(m.b[c.valid:])
			if c.valid += valid; !ok {
				return errNotText
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNotText = &Broken{Code: closeInvalidData, Text: "a text message must be UTF-8"}

// deliver hands over a whole message.
func (c *Conn) deliver(b []byte) error {
	binary := c.opcode == opBinary
	if !binary && c.upgrader.options.UTF8 {
		if n, _ := validUpTo(b[c.valid:]); c.valid+n != len(b) {
			return errNotText
		}
	}
	c.opcode, c.fragments, c.valid = 0, 0, 0
	c.handler.Message(binary, b)
	return nil
}

func (c *Conn) dropMessage() {
	if m := c.message; m != nil && cap(m.b) <= keptBuffer {
		m.b = m.b[:0]
		c.upgrader.buffers.put(m)
	}
	c.message = nil
}

// readControl reads a control frame, which may come between the fragments of a message, and hands it over.
func (c *Conn) readControl(h *header) error {
	b, err := c.br.Peek(h.length)
	if err != nil {
		return err
	}
	unmask(b, h.mask, 0)
	switch h.opcode {
	case opPing:
		c.handler.Ping(b)
	case opPong:
		c.handler.Pong()
	default:
		closed, err := parseClose(b)
		if err != nil {
			return err
		}
		c.wire.closed = true
		_ = c.write(opClose, b[:min(len(b), 2)]) // the same code (RFC 6455 §5.5.1)
		return closed
	}
	_, _ = c.br.Discard(h.length)
	return nil
}

// Send writes one message, made of parts. It returns when the kernel has it. An error has closed the connection already, or it
// is being closed, and Serve returns.
func (c *Conn) Send(binary bool, parts ...[]byte) error {
	if binary {
		return c.write(opBinary, parts...)
	}
	return c.write(opText, parts...)
}

// Pong answers a Ping with the same bytes (RFC 6455 §5.5.3).
func (c *Conn) Pong(payload []byte) { _ = c.write(opPong, payload) }

// Close sends a Close frame. Nothing is sent after it; Serve goes on until the peer has answered or the connection is cut.
// A reason is cut to what the frame can hold.
func (c *Conn) Close(code device.CloseCode, reason string) {
	_ = c.write(opClose, closeBody(code, reason))
}

// write writes one frame. What is short goes in one piece, and so in one TLS record.
func (c *Conn) write(opcode byte, parts ...[]byte) error {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	first := c.upgrader.firsts.get()
	defer c.upgrader.firsts.put(first)
	b := appendHeader(first[:0], opcode, length)
	for len(parts) > 0 && len(b) < cap(b) {
		n := min(len(parts[0]), cap(b)-len(b))
		b = append(b, parts[0][:n]...)
		if n < len(parts[0]) {
			parts = slices.Clone(parts)
			parts[0] = parts[0][n:]
			break
		}
		parts = parts[1:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.closed = opcode == opClose
	if err := c.wire.write(b); err != nil {
		return err
	}
	for _, part := range parts {
		if err := c.wire.write(part); err != nil {
			return err
		}
	}
	return nil
}

// HangUp closes the connection, when Serve has returned. A peer that may still be sending is heard out for a time at most,
// so that it gets to read why we hang up: what is unread when a connection closes resets it (RFC 6455 §7.1.1).
func (c *Conn) HangUp(within time.Duration) { c.wire.hangUp(within) }

// Cut ends the connection at once, from any goroutine. Serve returns.
func (c *Conn) Cut() { c.wire.cut() }

// Heard is when bytes last came, on the clock of Options; 0: never.
func (c *Conn) Heard() time.Duration { return time.Duration(c.wire.heard.Load()) }

// Waiting is since when bytes have been waited for, on the clock of Options; 0: they are not, because the handler is busy.
func (c *Conn) Waiting() time.Duration { return time.Duration(c.wire.waiting.Load()) }

// Slow tells whether the connection was cut because the peer did not read.
func (c *Conn) Slow() bool { return c.wire.slow.Load() }
