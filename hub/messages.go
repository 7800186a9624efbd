package hub

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

const (
	// schemaCost is how many other control messages a SCHEMA counts for: each different one is kept.
	schemaCost = 20
)

// Ping answers the device. With Pong and Message it is the session's side of socket.Handler.
func (s *session) Ping(payload []byte) {
	if s.allowControl(1) {
		s.conn.Pong(payload)
	}
}

// Pong counts: nobody has asked for it.
func (s *session) Pong() { s.allowControl(1) }

// Message takes one message; b is valid until it returns. What comes after the hub has decided to close is ignored: it is
// not acknowledged, and the device sends it again.
func (s *session) Message(binary bool, b []byte) {
	switch {
	case s.leaving.Load():
	case !binary:
		s.close(device.CloseUnsupportedData, "send binary messages only")
	case len(b) == 0:
		s.close(device.CloseBadState, "empty message")
	case s.hello == nil && device.Type(b[0]) != device.TypeHello:
		s.close(device.CloseBadState, "the first message must be HELLO")
	case device.Type(b[0]) == device.TypeData:
		s.dataMessage(b)
	default:
		aside(func() { s.controlMessage(b) })
	}
}

// aside runs f in a goroutine of its own, and waits for it. CBOR needs more than 4 KiB of stack; a read loop that grew
// so far would never shrink again, because it waits deep inside TLS.
func aside(f func()) {
	done := make(chan any)
	go func() {
		defer func() {
			reason := recover()
			if reason != nil {
				reason = fmt.Sprintf("%v\n%s", reason, debug.Stack())
			}
			done <- reason
		}()
		f()
	}()
	if reason := <-done; reason != nil {
		panic(reason)
	}
}

// allowControl takes n tokens for control messages and closes the connection when there are none.
func (s *session) allowControl(n int) bool {
	if s.ctx.Err() != nil {
		return false
	}
	limits, now := &s.hub.limits, s.hub.elapsed()
	if s.controls.spend(now, limits.ControlsPerSecond, float64(n)) > float64(limits.controlBurst()) {
		s.close(device.ClosePolicy, "too many control messages")
		return false
	}
	return true
}

// controlMessage takes any message but DATA.
func (s *session) controlMessage(b []byte) {
	cost := 1
	if device.Type(b[0]) == device.TypeSchema {
		cost = min(schemaCost, s.hub.limits.controlBurst()/2)
	}
	free := device.Type(b[0]) == device.TypeResult && s.solicited() // the hub itself has asked for it
	if !free && !s.allowControl(cost) {
		return
	}
	m, err := device.ParseControl(b)
	if err != nil {
		code := device.CloseBadState
		if device.Type(b[0]) == device.TypeSchema {
			code = device.CloseBadSchema
		}
		s.close(code, err.Error())
		return
	}
	switch m := m.(type) {
	case *device.Hello:
		s.greet(m)
	case *device.Schema:
		s.announce(m, b)
	case *device.Lost:
		s.lost(m)
	case *device.Result:
		s.answered(m)
	default:
		s.close(device.CloseBadState, fmt.Sprintf("%v is for the hub to send", m.Type()))
	}
}

// greet answers HELLO with WELCOME.
func (s *session) greet(m *device.Hello) {
	if s.hello != nil {
		s.close(device.CloseBadState, "a second HELLO")
		return
	}
	now := s.hub.now().UnixMicro()
	seen := &measured{base: s.hub.store.Clock().Base()}
	offset, ok := sub(now, m.Now)
	if !ok && m.Clock == device.ClockBoot {
		s.close(device.CloseBadState, "HELLO: now is out of range")
		return
	}
	s.ackDelay = min(time.Duration(m.AckDelay)*time.Millisecond, s.hub.pace.ackDelay)
	s.oldest = m.Oldest
	in := s.hub.store.Ledger.Ingest(s.device, m.Stream, s.committed)
	s.hello = m
	if seen.own = m.Clock == device.ClockWall; seen.own {
		seen.skew = skewOf(m.Now, now)
	}
	s.measured.Store(seen)
	s.ingest.Store(in)
	if seen.own {
		s.hub.feed.Greeted(s.device, s.number, seen.skew)
	} else if !s.check(in.Boot(s.ctx, m.Boot, offset, seen.base)) {
		return
	}
	schema, message, known := s.hub.store.SchemaByHash(m.SchemaHash)
	if known {
		s.schema, s.settings = schema, settingsOf(schema)
		in.Schema(message, schema)
	}
	s.awaited = !known
	s.hub.store.Devices.Note(s.device, m)

	problem := in.Resume(m.Next)
	if problem != "" {
		s.hub.log.Warn("the device must begin a new stream", "device", s.device, "stream", m.Stream, "problem", problem)
		s.hub.feed.Renumbered(s.device, problem)
	}
	limits := &s.hub.limits
	s.send(device.AppendControl(nil, &device.Welcome{
		Device: s.device, Now: s.hub.now().UnixMicro(), Received: in.Received(device.MaxRanges), NeedSchema: !known,
		WindowFrames: uint32(limits.WindowFrames), WindowBytes: uint32(limits.WindowBytes),
		AckDelay: uint32(s.ackDelay.Milliseconds()), Idle: uint32(min(limits.Idle.Milliseconds(), math.MaxUint32)),
		FrameRate: uint32(min(limits.FramesPerSecond, math.MaxUint32)), NeedStream: problem != "",
	}))
	s.startDelivery(m.Stream)
}

// announce takes SCHEMA: the one WELCOME asked for, or another one for the frames that follow.
func (s *session) announce(schema *device.Schema, message []byte) {
	hash := device.HashSchema(message)
	if s.awaited && hash != s.hello.SchemaHash {
		s.close(device.CloseBadSchema, fmt.Sprintf("SCHEMA has the hash %v, HELLO announced %v", hash, s.hello.SchemaHash))
		return
	}
	s.awaited = false
	known, kept, ok := s.hub.store.SchemaByHash(hash)
	switch {
	case ok: // thousands of devices share one
		schema, message = known, kept
	case !s.hub.schemas.take(s.device):
		s.hub.log.Warn("a device announces one new schema after the other", "device", s.device)
		s.close(device.CloseTryLater, fmt.Sprintf("more than %d new schemas a day", device.MaxNewSchemas))
		return
	default:
		message = bytes.Clone(message)
	}
	s.schema, s.settings = schema, settingsOf(schema)
	s.ingest.Load().Schema(message, schema)
	s.hello.SchemaHash = hash
	s.hub.store.Devices.Note(s.device, s.hello)
	s.deliver() // it may have other settings
}

// lost takes LOST.
func (s *session) lost(m *device.Lost) {
	err := s.ingest.Load().Lost(s.ctx, m)
	if errors.Is(err, ledger.ErrFarAhead) {
		s.close(device.CloseBadState, fmt.Sprintf("LOST up to %d: more than %d above the highest number in use", m.Last, device.MaxAhead))
		return
	}
	s.check(err)
}

// dataMessage takes one DATA message. In the steady state it allocates nothing.
func (s *session) dataMessage(b []byte) {
	heard := s.conn.Heard()
	s.dataAt.Store(int64(heard))
	if !s.slowDown(heard) {
		return
	}
	s.owedFrames.Add(1)
	s.owedBytes.Add(int64(len(b)))
	in := s.ingest.Load()
	d := s.hub.decoded.get()
	defer s.hub.decoded.put(d)
	if err := device.ParseData(b, s.schema, d); err != nil {
		s.reject(in, b, err)
		return
	}
	received := s.hub.now().UnixMicro()
	seen := s.measured.Load()
	if !seen.own && d.Clock == device.ClockWall && s.borrowed.CompareAndSwap(false, true) {
		s.clockSet(s.hub.store.Clock().Base()) // it may have been set since WELCOME
	}
	timing, ok := deviceClock{doubtful: seen.wrong(s.hub.store.Clock().Base())}.timing(d, received, in.Offset)
	if !ok {
		s.check(in.Reject(s.ctx, d.Seq, device.RejectBadValue, "a time is before the year 0 or after 9999", b))
		return
	}
	err := in.Frame(s.ctx, b, d, timing)
	if errors.Is(err, ledger.ErrFarAhead) {
		text := fmt.Sprintf("number %d is more than %d above the highest number in use", d.Seq, device.MaxAhead)
		err = in.Reject(s.ctx, 0, device.RejectMalformed, text, b)
	}
	if s.check(err) && len(s.settings) > 0 {
		s.reported(d, timing.Offset, received)
	}
}

// reject puts a message that ParseData refused among the dead letters; the REJECT follows when it is there.
func (s *session) reject(in *ledger.Ingest, b []byte, err error) {
	var wrong *device.DataError
	if !errors.As(err, &wrong) {
		wrong = &device.DataError{Code: device.RejectMalformed, Text: err.Error()}
	}
	s.check(in.Reject(s.ctx, wrong.Seq, wrong.Code, wrong.Text, b))
}

// slowDown waits as long as the device is ahead of its rate; meanwhile TCP fills up and holds the device back. It returns
// false if the session was closed in that time. heard is when the message came.
func (s *session) slowDown(heard time.Duration) bool {
	limits := &s.hub.limits
	burst := float64(limits.FrameBurst)
	if s.frames.spend(heard, limits.FramesPerSecond, 1) <= burst {
		return true
	}
	ahead := s.frames.spend(s.hub.elapsed(), limits.FramesPerSecond, 0) - burst // time may have passed since it came
	if ahead <= 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(ahead / limits.FramesPerSecond * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// check closes the connection for what the store can't take, and reports whether it took it.
func (s *session) check(err error) bool {
	switch {
	case err == nil:
		return true
	case s.ctx.Err() != nil: // that is why
	case errors.Is(err, ledger.ErrTooSparse):
		s.close(device.CloseTooSparse, fmt.Sprintf("more than %d separate ranges: send the oldest frames first", device.MaxSparseRanges))
	case errors.Is(err, store.ErrClosed):
		s.close(device.CloseTryLater, "the hub does not take data of this device now")
	default:
		s.hub.log.Error("the store refused a message", "device", s.device, "error", err)
		s.close(device.CloseInternal, "the hub failed")
	}
	return false
}
