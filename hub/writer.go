package hub

import (
	"runtime/debug"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

// outbox is what a session has to say besides what became durable, which the store holds until it is taken. It never
// grows: a device that reads slowly gets fewer, larger ACKs.
type outbox struct {
	mu       sync.Mutex
	writing  bool // the writer runs
	again    bool // there is something to write
	ended    bool // the writer is not to be started any more
	timer    *time.Timer
	delayed  bool // the timer runs
	resend   device.Ranges
	commands []commands.Command // bounded by the store
	closing  *closing           // set once, before ended
}

// closing is the last thing said.
type closing struct {
	code device.CloseCode
	text string
	away *device.GoAway // said before it; nil: nothing
}

// finish sets what is said last and returns false if that was set before, or nothing more can be said.
func (o *outbox) finish(c *closing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil || o.ended {
		return false
	}
	o.closing = c
	return true
}

// end lets no writer start any more. One that runs writes what there is.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.timer != nil {
		o.timer.Stop()
	}
}

// committed is called by the store's committer when something became durable. The ACK may wait for more, as long as the
// device asked for, but not until its window is full.
func (s *session) committed() {
	if s.ackDelay == 0 || s.owedFrames.Load() >= int64(s.hub.limits.WindowFrames/2) || s.owedBytes.Load() >= int64(s.hub.limits.WindowBytes/2) {
		s.wake()
		return
	}
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ended || o.delayed:
		return
	case o.timer == nil:
		o.timer = time.AfterFunc(s.ackDelay, s.wake)
	default:
		o.timer.Reset(s.ackDelay)
	}
	o.delayed = true
}

// wake starts the writer, or lets it go round once more. It never blocks.
func (s *session) wake() {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.again = true
	if !o.writing {
		o.writing = true
		s.wg.Add(1)
		go s.write() // wg.Go would allocate
	}
}

// write writes until there is nothing more to write. It may wait for the device; nobody waits for it.
func (s *session) write() {
	defer s.wg.Done()
	defer func() {
		if reason := recover(); reason != nil {
			s.hub.log.Error("panic in a device session", "device", s.device, "panic", reason, "stack", string(debug.Stack()))
			s.conn.Cut()
		}
	}()
	o := &s.out
	for {
		o.mu.Lock()
		if !o.again {
			o.writing = false
			o.mu.Unlock()
			return
		}
		resend, closing := o.resend, o.closing
		o.again, o.delayed, o.resend = false, false, nil
		o.mu.Unlock()
		s.flush(resend, closing)
	}
}

// output is the memory of one flush.
type output struct {
	settled ledger.Settled
	message []byte
}

// flush writes what there is at this moment. A REJECT goes before the ACK that settles it, so that the device still knows
// the frame when it learns what became of it.
func (s *session) flush(resend device.Ranges, closing *closing) {
	out := s.hub.outputs.get()
	defer s.hub.outputs.put(out)
	if in := s.ingest.Load(); in != nil {
		s.owedFrames.Store(0)
		s.owedBytes.Store(0)
		out.settled.Reset()
		in.Take(&out.settled)
		for i := range out.settled.Rejects {
			s.sendControl(out, &out.settled.Rejects[i])
		}
		for acks := out.settled.Acks; len(acks) > 0; {
			n := min(len(acks), device.MaxRanges)
			out.message = device.AppendAck(out.message[:0], acks[:n])
			s.send(out.message)
			acks = acks[n:]
		}
	}
	if len(resend) > 0 {
		s.sendControl(out, &device.Resend{Ranges: resend})
	}
	if closing == nil {
		s.writeCommands(out)
		return
	}
	if closing.away != nil {
		s.sendControl(out, closing.away)
	}
	s.conn.Close(closing.code, closing.text)
}

func (s *session) sendControl(out *output, m device.Message) {
	out.message = device.AppendControl(out.message[:0], m)
	s.send(out.message)
}

// send writes one message. An error has closed the connection already, and the read loop sees it.
func (s *session) send(message []byte) {
	_ = s.conn.Send(true, message)
}
