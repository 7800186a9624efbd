package client

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	sendBatch   = 64               // messages written before the loop looks at what has come in
	pongTimeout = 15 * time.Second // from a ping to anything from the hub

	// The hub allows 20 control messages a second, 100 at once, and SCHEMA counts as 20 of them. Half of it goes to SCHEMA.
	controlRate  = 10
	controlBurst = 50
	schemaEvery  = 2 * time.Second

	lostEvery = time.Second // a buffer that overflows all the time is not declared frame by frame
	paceSteps = 20          // frames are paced in steps of a twentieth of a second if they are many
)

// work sends what may be sent now and returns how long there is nothing to do unless something happens.
func (s *session) work() (wait time.Duration, err error) {
	wait, err = s.watch(time.Now())
	if err != nil || s.welcomeAt.IsZero() {
		return wait, err
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

// watch keeps the connection open with pings and notices when it is dead. It returns when to call it again.
func (s *session) watch(now time.Time) (wait time.Duration, err error) {
	if !s.deadAt.IsZero() && !now.Before(s.deadAt) {
		if !s.heard.Load() {
			return 0, errSilent
		}
		s.deadAt = time.Time{}
	}
	if !now.Before(s.pingAt) {
		if s.welcomeAt.IsZero() {
			return 0, errNoWelcome
		}
		s.pingAt = now.Add(s.pingEvery)
		heard := s.heard.Swap(false)
		if !heard || !s.wrote {
			if s.deadAt.IsZero() {
				s.deadAt = now.Add(pongTimeout)
			}
			if err := s.write(gws.OpcodePing, nil); err != nil {
				return 0, err
			}
		}
		s.wrote = false
	}
	wait = s.pingAt.Sub(now)
	if !s.deadAt.IsZero() {
		wait = min(wait, s.deadAt.Sub(now))
	}
	return wait, nil
}

// next is the message to send now: results of commands, then what is lost, then frames. If there is none, wait is how long until
// there is one, unless something happens.
func (s *session) next(now time.Time) (message []byte, wait time.Duration) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.announced == nil {
		return s.announce(c.schema, now), 0
	}
	message, controlWait := s.nextControl(now)
	if message != nil {
		return message, 0
	}
	message, wait = s.nextFrame(now)
	return message, min(wait, controlWait)
}

// announce is SCHEMA.
func (s *session) announce(r *schemaRecord, now time.Time) []byte {
	s.announced, s.schemaAt = r, now.Add(schemaEvery)
	return r.message
}

// nextControl is a RESULT or LOST, at a rate that the hub allows.
func (s *session) nextControl(now time.Time) (message []byte, wait time.Duration) {
	cs, b := &s.client.commands, &s.client.buf
	lost := b.undeclared()
	if len(cs.replies) == 0 && len(s.gone) == 0 && lost < 0 {
		return nil, forever
	}
	if len(cs.replies) > 0 && s.owed > 0 { // the hub does not count what it has asked for
		s.owed--
		message, cs.replies = cs.replies[0], cs.replies[1:]
		return message, 0
	}
	if wait := s.controlRate.wait(now); wait > 0 {
		return nil, wait
	}
	switch {
	case len(cs.replies) > 0:
		message, cs.replies = cs.replies[0], cs.replies[1:]
	case len(s.gone) > 0:
		message = device.AppendControl(nil, &device.Lost{First: s.gone[0].First, Last: s.gone[0].Last,
			Reason: device.LostOverwritten, Text: "settled before and forgotten"})
		s.gone = s.gone[1:]
	case s.lostAt.After(now):
		return nil, s.lostAt.Sub(now)
	default:
		r := b.declare(lost, s.client.cfg.Trace.Lost)
		message = device.AppendControl(nil, &device.Lost{First: r.first, Last: r.last, Reason: r.reason})
		if b.undeclared() < 0 {
			s.lostAt = now.Add(lostEvery)
		}
	}
	s.controlRate.take(now)
	return message, 0
}

// nextFrame is a live frame or else one of the backlog, if rates and windows allow. Before it may come its schema.
func (s *session) nextFrame(now time.Time) (message []byte, wait time.Duration) {
	c := s.client
	f, wait := s.chooseFrame(now)
	switch {
	case f == nil && wait == forever && s.announced != c.schema: // old frames needed an older one
		if wait := s.schemaAt.Sub(now); wait > 0 {
			return nil, wait
		}
		return s.announce(c.schema, now), 0
	case f == nil:
		return nil, wait
	case f.schema != s.announced:
		return s.announce(f.schema, now), 0
	}
	if wait := s.frameRate.wait(now); wait > 0 {
		return nil, wait
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

// chooseFrame picks the next frame that windows and rates have room for.
func (s *session) chooseFrame(now time.Time) (f *frame, wait time.Duration) {
	b := &s.client.buf
	live, backlog := b.unsent(s.live, math.MaxUint64), b.unsent(s.backlog, s.live)
	if backlog == nil {
		s.backlog = b.sendable(s.live) // not to look through the same frames again
	}
	wait = forever
	if s.oldestFirst && backlog != nil {
		live = nil
	}
	if live != nil {
		if f, wait = s.admit(live, now, s.windowFrames, s.windowBytes); f != nil || wait == forever {
			return f, wait
		}
	}
	switch {
	case backlog == nil:
		return nil, wait
	case s.oldestFirst:
		return s.admit(backlog, now, s.windowFrames, s.windowBytes)
	}
	if pause := s.backlogRate.wait(now); pause > 0 {
		return nil, min(wait, pause)
	}
	// Half the window stays free, or live data would wait for the backlog's acknowledgements.
	f, pause := s.admit(backlog, now, (s.windowFrames+1)/2, s.windowBytes/2)
	return f, min(wait, pause)
}

// admit returns the frame if the window has room for it and its schema is announced or may be announced now.
func (s *session) admit(f *frame, now time.Time, windowFrames, windowBytes int) (*frame, time.Duration) {
	if !s.client.buf.fits(f, windowFrames, windowBytes) {
		s.client.starved = true
		return nil, forever
	}
	if wait := s.schemaAt.Sub(now); wait > 0 && f.schema != s.announced {
		return nil, wait
	}
	return f, 0
}

// sent counts a transmission. The caller holds c.mu.
func (c *Client) sent(seq uint64, bytes int) {
	c.stats.Sent++
	c.cfg.Trace.Sent(seq, bytes)
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
