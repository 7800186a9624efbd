package socket

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/lxzan/gws"

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
	gws  *gws.Conn
	wire wire

	// owned by Serve
	handler Handler
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

// Serve reads until the connection ends, and returns why: Closed, Broken, Panic, or the error of the connection itself,
// which says little if this side has closed it. Nothing is closed yet: HangUp must be called when nothing more is to be
// sent. Serve is called once.
func (c *Conn) Serve(h Handler) (end error) {
	c.handler = h
	defer func() {
		if reason := recover(); reason != nil {
			c.Close(device.CloseInternal, "the hub failed")
			end = &Panic{Value: reason, Stack: debug.Stack()}
		}
	}()
	c.gws.ReadLoop()
	if c.wire.end == nil { // what has passed the checks is refused by gws all the same
		c.wire.endWith(broken("it can't be read"))
	}
	return c.wire.end
}

// Send writes one message, made of parts. It returns when the kernel has it. An error has closed the connection already,
// and Serve returns.
func (c *Conn) Send(binary bool, parts ...[]byte) error {
	opcode := gws.OpcodeText
	if binary {
		opcode = gws.OpcodeBinary
	}
	if len(parts) == 1 {
		return c.gws.WriteMessage(opcode, parts[0])
	}
	return c.gws.Writev(opcode, parts...)
}

// Pong answers a Ping with the same bytes (RFC 6455 §5.5.3).
func (c *Conn) Pong(payload []byte) { _ = c.gws.WritePong(payload) }

// Close sends a Close frame. Nothing is sent after it; Serve goes on until the peer has answered or the connection is cut.
// A reason is cut to what the frame can hold.
func (c *Conn) Close(code device.CloseCode, reason string) {
	c.wire.sendClose(closeBody(code, reason))
}

// TurnAway ends a connection that is not to be served after all: it takes the place of Serve.
func (c *Conn) TurnAway(code device.CloseCode, reason string, within time.Duration) {
	c.Close(code, reason)
	c.HangUp(within)
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

// Slow reports whether the connection was cut because the peer did not read.
func (c *Conn) Slow() bool { return c.wire.slow.Load() }

// events is what gws calls, in the goroutine of Serve.
type events struct{}

func connOf(c *gws.Conn) *Conn { return c.NetConn().(*wire).conn }

func (events) OnOpen(*gws.Conn)                   {}
func (events) OnClose(*gws.Conn, error)           {} // the wire knows better why
func (events) OnPing(c *gws.Conn, payload []byte) { connOf(c).handler.Ping(payload) }
func (events) OnPong(c *gws.Conn, _ []byte)       { connOf(c).handler.Pong() }

func (events) OnMessage(c *gws.Conn, m *gws.Message) {
	connOf(c).handler.Message(m.Opcode == gws.OpcodeBinary, m.Bytes())
	_ = m.Close()
}
