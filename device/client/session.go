package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	welcomeTimeout = 15 * time.Second // from HELLO to WELCOME
	leaveTimeout   = time.Second      // to say goodbye
	forever        = time.Duration(math.MaxInt64)

	minIdle = 3 * time.Second // what WELCOME says of silence is taken to be within these bounds
	maxIdle = time.Hour
)

var (
	errNoWelcome = errors.New("the hub does not say WELCOME")
	errSilent    = errors.New("the hub has gone silent")
	errCut       = errors.New("connection cut on purpose")

	errLeftStream = errors.New("the hub cannot go on with this stream, mostly because it has later frames of it than the device ever sent: " +
		"the buffer file is an old one; the device begins a new stream")
)

// session is one connection. The loop in run owns it; a second goroutine reads.
type session struct {
	// static
	client  *Client
	conn    *gws.Conn
	raw     net.Conn            // the TCP connection below conn
	inbox   chan device.Message // from the reader: what the loop answers
	leaving chan struct{}       // closed when the loop has ended
	ended   chan struct{}       // closed when the reader has ended

	readErr error       // why the reader has ended; to be read after ended
	heard   atomic.Bool // something, since the last look

	// owned by the loop
	helloAt      time.Time
	welcomeAt    time.Time // zero: no WELCOME yet
	endAt        time.Time
	hubTime      int64 // of WELCOME, µs since 1970; not before helloAt
	owed         int   // RESULTs that the hub has asked for on this connection
	windowFrames int
	windowBytes  int
	announced    *schemaRecord // what the hub takes frames to follow; nil: not known to it
	live         uint64        // next frame of those made since WELCOME
	backlog      uint64        // where to look for older ones
	oldestFirst  bool
	gone         device.Ranges // the hub has asked for these, and they are not there
	frameRate    pacer
	backlogRate  pacer
	controlRate  pacer
	schemaAt     time.Time // when SCHEMA may be sent again
	lostAt       time.Time // when LOST may be sent again
	pingEvery    time.Duration
	pingAt       time.Time
	deadAt       time.Time // when the answer to a ping must be there; zero: none is awaited
	wrote        bool      // since the last look
}

func newSession(c *Client, oldestFirst bool) *session {
	return &session{
		client:      c,
		oldestFirst: oldestFirst,
		inbox:       make(chan device.Message, 4),
		leaving:     make(chan struct{}),
		ended:       make(chan struct{}),
	}
}

// stood is how long the connection stood after WELCOME.
func (s *session) stood() time.Duration {
	if s.welcomeAt.IsZero() {
		return 0
	}
	return s.endAt.Sub(s.welcomeAt)
}

// run connects and serves the connection until it breaks, the hub closes it or ctx ends, and returns why. Everything has
// ended then.
func (s *session) run(ctx context.Context) error {
	conn, raw, err := s.client.dial(ctx, s)
	if err != nil {
		return err
	}
	s.conn, s.raw = conn, raw
	go s.read()
	err = s.serve(ctx)
	close(s.leaving)
	s.endAt = time.Now()
	s.leave(err)
	s.client.disconnected()
	return err
}

// leave says goodbye and ends the reader.
func (s *session) leave(err error) {
	code := device.CloseNormal
	if errors.Is(err, device.ErrMalformed) {
		code = device.CloseProtocolError
	}
	impatient := time.AfterFunc(leaveTimeout, func() { s.raw.Close() })
	defer impatient.Stop()
	_ = s.conn.WriteClose(uint16(code), nil) // it may be closed already
	<-s.ended
}

// serve is the loop.
func (s *session) serve(ctx context.Context) error {
	if err := s.hello(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, err := s.work()
		if err != nil {
			return err
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return s.lastWord()
		case m := <-s.inbox:
			if err := s.take(ctx, m); err != nil {
				return err
			}
		case <-s.client.wake:
		case <-timer.C:
		}
	}
}

// write sends a message. If that fails, the connection is closed, and the error is what it has ended with.
func (s *session) write(opcode gws.Opcode, message []byte) error {
	s.wrote = true
	if err := s.conn.WriteMessage(opcode, message); err != nil {
		return s.lastWord()
	}
	return nil
}

// lastWord is why a closed connection has ended: GOAWAY if that came before the end, else what the reader met.
func (s *session) lastWord() error {
	for {
		var m device.Message
		select {
		case m = <-s.inbox:
		case <-s.ended:
			select {
			case m = <-s.inbox:
			default:
				return s.readErr
			}
		}
		if g, ok := m.(*device.GoAway); ok {
			return goAwayError{g}
		}
	}
}

func (s *session) hello() error {
	c := s.client
	h := c.cfg.hello(0)
	c.mu.Lock()
	s.announced = c.schema
	h.Stream, h.Oldest, h.Next, h.SchemaHash = c.buf.stream, c.buf.oldest(), c.buf.next, c.schema.hash
	c.mu.Unlock()
	s.helloAt = time.Now()
	s.pingAt = s.helloAt.Add(welcomeTimeout)
	return s.write(gws.OpcodeBinary, device.AppendControl(nil, h))
}

// take handles a message that the reader has passed on.
func (s *session) take(ctx context.Context, m device.Message) error {
	welcomed := !s.welcomeAt.IsZero()
	switch m := m.(type) {
	case *device.GoAway:
		return goAwayError{m}
	case *device.Welcome:
		if !welcomed {
			return s.welcomed(m)
		}
	case *device.Resend:
		if welcomed {
			s.resend(m.Ranges)
			return nil
		}
	case *device.Command:
		if welcomed {
			s.owed++
			s.client.takeCommand(ctx, m, timeLeft(m, s.latestHubTime()))
			return nil
		}
	}
	return fmt.Errorf("%w: type 0x%02x is out of place", device.ErrMalformed, byte(m.Type()))
}

// latestHubTime is the latest that the hub's clock can show now: WELCOME was written after HELLO.
func (s *session) latestHubTime() int64 { return s.hubTime + time.Since(s.helloAt).Microseconds() }

func (s *session) welcomed(w *device.Welcome) error {
	now := time.Now()
	s.welcomeAt, s.hubTime = now, w.Now
	s.pingEvery = min(max(time.Duration(w.Idle)*time.Millisecond, minIdle), maxIdle) / 3
	s.pingAt = now.Add(s.pingEvery)
	s.frameRate = newPacer(clamp(w.FrameRate), clamp(w.FrameRate)/paceSteps)
	s.backlogRate = newPacer(s.client.cfg.BacklogRate, s.client.cfg.BacklogRate/paceSteps)
	s.controlRate = newPacer(controlRate, controlBurst)
	if w.NeedSchema {
		s.announced = nil
	}

	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.buf
	own := b.next - 1
	if c.stats.Connects == 0 {
		own = b.fresh - 1
	}
	if n := len(w.Received); w.NeedStream || n > 0 && w.Received[n-1].Last > own {
		c.leaveStream(w.Received, own)
		return errLeftStream
	}
	s.windowFrames, s.windowBytes = clamp(w.WindowFrames), clamp(w.WindowBytes)
	c.stats.Connected = true
	c.stats.Connects++
	b.connected(c.stats.Connects)
	c.settleLocked(w.Received, false)
	s.live, s.backlog = b.next, 0
	return nil
}

// clamp is v as an int, also where an int has 32 bits.
func clamp(v uint32) int { return int(min(v, math.MaxInt32)) }

// leaveStream begins a new stream, mostly because the hub has frames that this buffer never sent: it was put back to an earlier
// state, by a disk that lost what it had called durable, or from a copy. The numbers that the device has given to new frames since would be
// taken for duplicates. What is settled of the numbers up to own, which are this buffer's without doubt, is settled.
func (c *Client) leaveStream(received device.Ranges, own uint64) {
	for _, r := range received {
		c.buf.settle(r.First, min(r.Last, own), false)
	}
	c.buf.renumber(newStream())
}

// disconnected takes note that the connection has ended.
func (c *Client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.connected(0)
	c.stats.Connected, c.starved = false, false
}

// resend makes the frames that the hub misses be sent again, and what is not there be declared lost. The answer to an earlier RESEND
// that is not complete yet is dropped: the hub has asked anew.
func (s *session) resend(missing device.Ranges) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	s.gone = nil
	for _, r := range missing {
		s.gone = c.buf.recall(r.First, r.Last, s.gone)
		s.backlog = min(s.backlog, r.First)
	}
}

// tooSparse tells whether the hub has closed because the received frames have too many holes.
func tooSparse(err error) bool {
	var closed *gws.CloseError
	return errors.As(err, &closed) && device.CloseCode(closed.Code) == device.CloseTooSparse
}
