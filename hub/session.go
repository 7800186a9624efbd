package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

// session is one device connection. Its size matters: a hub has thousands.
type session struct {
	// static
	hub     *Hub
	device  string
	network netip.Prefix // what the connection counts for
	address string       // remote host:port
	conn    *socket.Conn
	opened  time.Duration // elapsed
	ctx     context.Context
	cancel  context.CancelFunc
	number  uint64 // counts the connections in the order in which they took over

	// owned by the read loop
	hello    *device.Hello // nil: not yet come
	schema   *device.Schema
	awaited  bool      // SCHEMA must come, with the hash of hello
	settings []setting // writable channels of schema
	frames   bucket    // DATA
	controls bucket    // anything else
	left     error     // why the connection ended

	// owned by the housekeeping
	holes holes

	// set by HELLO, before ingest
	ackDelay time.Duration
	oldest   uint64 // the device holds nothing below it

	ingest     atomic.Pointer[ledger.Ingest] // nil before HELLO
	owedFrames atomic.Int64                  // DATA messages since the last ACK
	owedBytes  atomic.Int64
	dataAt     atomic.Int64             // elapsed ns of the newest DATA; 0: none
	measured   atomic.Pointer[measured] // set by HELLO
	borrowed   atomic.Bool              // the device has no clock of its own, and gave a reading the time of a wall clock
	leaving    atomic.Bool              // ctx has ended, or is about to: quicker to ask for each frame
	out        outbox
	delivery   delivery
	wg         sync.WaitGroup // the writer and the delivery
}

func newSession(h *Hub, id string, network netip.Prefix, conn *socket.Conn, address string) *session {
	s := &session{
		hub: h, device: id, network: network, address: address, conn: conn, opened: h.elapsed(),
	}
	s.measured.Store(&measured{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// begin is what comes before run, in another goroutine: logging needs more than 4 KiB of stack, see aside.
func (s *session) begin() {
	s.hub.log.Info("device connected", "device", s.device, "address", s.address)
	s.hub.store.Outages.DeviceConnected(s.device)
}

// run reads until the connection ends.
func (s *session) run() {
	defer s.hub.sessions.running.Done()
	s.read()
	s.end()
}

// read is the read loop.
func (s *session) read() {
	s.left = s.conn.Serve(s)
	if reason, ok := errors.AsType[*socket.Panic](s.left); ok {
		s.hub.log.Error("panic in a device session", "device", s.device, "panic", reason.Value, "stack", string(reason.Stack))
	}
}

// end releases everything, in this order: what is still to be said is said before the connection closes.
func (s *session) end() {
	s.cancel()
	s.out.end()
	s.delivery.end()
	s.wg.Wait()
	s.conn.HangUp(s.hub.pace.closing)
	if in := s.ingest.Load(); in != nil {
		in.Close()
	}
	s.hub.sessions.exit(s, s.hub.now(), s.hub.elapsed())
	s.hub.tookOver(s)
	s.hub.store.Outages.DeviceDisconnected(s.device)
	code, reason := s.verdict()
	s.logEnd(code, reason)
	var byDevice *socket.Closed
	s.hub.feed.Disconnected(s.device, s.number, code, reason, errors.As(s.left, &byDevice))
}

// logEnd logs the end: what the device is to blame for as a warning.
func (s *session) logEnd(code device.CloseCode, reason string) {
	level := slog.LevelInfo
	switch code {
	case device.CloseSlow, device.CloseProtocolError, device.CloseUnsupportedData, device.ClosePolicy, device.CloseTooBig,
		device.CloseBadState, device.CloseBadSchema, device.CloseTooSparse:
		level = slog.LevelWarn
	}
	s.hub.log.Log(context.Background(), level, "device disconnected", "device", s.device, "address", s.address,
		"duration", (s.hub.elapsed() - s.opened).Round(time.Millisecond), "code", int(code), "reason", reason)
}

// leftBy says how a device closed the connection: the code and the reason may both be missing (RFC 6455 §5.5.1).
func leftBy(c *socket.Closed) string {
	text := "closed by the device"
	if c.Code != 0 {
		text += fmt.Sprintf(" with %d", c.Code)
	}
	if c.Reason != "" {
		text += fmt.Sprintf(" %q", c.Reason)
	}
	return text
}

// verdict is why the session ended: the code the hub closed it with, or 0, and the reason. CloseSlow is never sent: there
// is no way to send anything.
func (s *session) verdict() (device.CloseCode, string) {
	var byDevice *socket.Closed
	var broken *socket.Broken
	var panicked *socket.Panic
	switch {
	case s.conn.Slow():
		return device.CloseSlow, "the device does not read what the hub sends"
	case s.out.closing != nil:
		return s.out.closing.code, s.out.closing.text
	case errors.As(s.left, &byDevice):
		return 0, leftBy(byDevice)
	case errors.As(s.left, &broken):
		return broken.Code, broken.Text
	case errors.As(s.left, &panicked):
		return device.CloseInternal, "the hub failed"
	case s.left != nil:
		return 0, s.left.Error()
	default:
		return 0, "the connection ended"
	}
}

// close begins the end of the session, from any goroutine, and does not wait for it. From now on nothing is accepted from
// the device. It has pace.closing to answer the Close frame.
func (s *session) close(code device.CloseCode, text string) {
	s.finish(&closing{code: code, text: text})
}

// leave is close with a word before on when to come back.
func (s *session) leave(away *device.GoAway) {
	s.finish(&closing{code: device.CloseGoingAway, text: away.Text, away: away})
}

func (s *session) finish(c *closing) {
	s.leaving.Store(true)
	s.cancel()
	if s.out.finish(c) {
		time.AfterFunc(s.hub.pace.closing, s.conn.Cut)
		s.wake()
	}
}
