package client

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	lostEvery = time.Second // a buffer that overflows all the time is not declared frame by frame
	sendBatch = 64          // messages written before the loop looks at what has come in
)

// work sends what may be sent now and returns how long there is nothing to do unless something happens.
func (s *session) work() (wait time.Duration, err error) {
	now := time.Now()
	if !now.Before(s.pingAt) {
		if err := s.ping(now); err != nil {
			return 0, err
		}
	}
	wait = s.pingAt.Sub(now)
	if s.welcomeAt.IsZero() {
		return wait, nil
	}
	for range sendBatch {
		message, pause := s.next(time.Now())
		if message == nil {
			return min(wait, pause), nil
		}
		if err := s.write(gws.OpcodeBinary, message); err != nil {
			return 0, err
		}
		if err := s.fault(message); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// ping keeps the connection open and notices when it is dead.
func (s *session) ping(now time.Time) error {
	if s.welcomeAt.IsZero() {
		return errNoWelcome
	}
	s.silent++
	if s.heard.Swap(false) {
		s.silent = 0
	}
	if s.silent == 3 {
		return errSilent
	}
	s.pingAt = now.Add(s.pingEvery)
	var err error
	if s.silent > 0 || !s.wrote {
		err = s.write(gws.OpcodePing, nil)
	}
	s.wrote = false
	return err
}

// next is the message to send now: results of commands, then what is lost, then frames. If there is none, wait is how long until
// there is one, unless something happens.
func (s *session) next(now time.Time) (message []byte, wait time.Duration) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.announced == nil {
		return s.announce(c.schema), 0
	}
	if replies := c.commands.replies; len(replies) > 0 {
		c.commands.replies = replies[1:]
		return replies[0], 0
	}
	lost, lostWait := s.nextLost(now)
	if lost != nil {
		return lost, 0
	}
	message, wait = s.nextFrame(now)
	if message == nil && wait == forever && s.announced != c.schema {
		return s.announce(c.schema), 0 // old frames needed an older one
	}
	return message, min(wait, lostWait)
}

func (s *session) announce(r *schemaRecord) []byte {
	s.announced = r
	return r.message
}

func (s *session) nextLost(now time.Time) (message []byte, wait time.Duration) {
	b := &s.client.buf
	i := b.undeclared()
	if i < 0 {
		return nil, forever
	}
	if wait := s.lostAt.Sub(now); wait > 0 {
		return nil, wait
	}
	r := b.declare(i)
	if lost := s.client.cfg.Trace.Lost; lost != nil {
		lost(r.first, r.last)
	}
	if b.undeclared() < 0 {
		s.lostAt = now.Add(lostEvery)
	}
	return device.AppendControl(nil, &device.Lost{First: r.first, Last: r.last, Reason: r.reason}), 0
}

// nextFrame is a live frame or else one of the backlog, if rates and windows allow. Before it may come its schema.
func (s *session) nextFrame(now time.Time) (message []byte, wait time.Duration) {
	c := s.client
	f, wait := s.chooseFrame(now)
	if f == nil {
		return nil, wait
	}
	if wait := s.frameRate.wait(now); wait > 0 {
		return nil, wait
	}
	if f.schema != s.announced {
		return s.announce(f.schema), 0
	}
	s.frameRate.take(now)
	if f.seq >= s.live {
		s.live = f.seq + 1
	} else {
		s.backlog = f.seq + 1
		s.backlogRate.take(now)
	}
	c.buf.launch(f)
	c.sent(f.seq, len(f.message))
	return f.message, 0
}

// sent counts a transmission. The caller holds c.mu.
func (c *Client) sent(seq uint64, bytes int) {
	c.stats.Sent++
	if c.cfg.Trace.Sent != nil {
		c.cfg.Trace.Sent(seq, bytes)
	}
}

// chooseFrame picks the next frame that the windows have room for.
func (s *session) chooseFrame(now time.Time) (f *frame, wait time.Duration) {
	b := &s.client.buf
	live, backlog := b.unsent(s.live, math.MaxUint64), b.unsent(s.backlog, s.live)
	if backlog == nil {
		s.backlog = b.sendable(s.live) // not to look through the same frames again
	}
	if s.oldestFirst && backlog != nil {
		live = nil
	}
	switch {
	case live == nil && backlog == nil:
		return nil, forever
	case live != nil && b.fits(live, s.windowFrames, s.windowBytes):
		return live, 0
	case live != nil:
		s.client.starved = true
		return nil, forever
	case s.oldestFirst:
		if b.fits(backlog, s.windowFrames, s.windowBytes) {
			return backlog, 0
		}
	default:
		if wait := s.backlogRate.wait(now); wait > 0 {
			return nil, wait
		}
		// Half the window stays free, or live data would wait for the backlog's acknowledgements.
		if b.fits(backlog, (s.windowFrames+1)/2, s.windowBytes/2) {
			return backlog, 0
		}
	}
	s.client.starved = true
	return nil, forever
}

// fault does what Config.Faults says after the message, if it is a frame.
func (s *session) fault(message []byte) error {
	c := s.client
	faults := c.cfg.Faults
	if faults == nil || device.Type(message[0]) != device.TypeData {
		return nil
	}
	seq, _ := binary.Uvarint(message[1:]) // Send and SendEncoded have seen to it
	if faults.Duplicate != nil && faults.Duplicate(seq) {
		c.mu.Lock()
		c.sent(seq, len(message))
		c.mu.Unlock()
		if err := s.write(gws.OpcodeBinary, message); err != nil {
			return err
		}
	}
	if faults.Cut != nil && faults.Cut(seq) {
		s.raw.Close()
		return errCut
	}
	return nil
}
