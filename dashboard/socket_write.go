package dashboard

import (
	"runtime/debug"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// maxQueued is how many bytes of frames, besides MESSAGEs, may wait for a client that does not read them.
const maxQueued = 256 << 10

// say queues a frame. It never waits.
func (c *liveConn) say(f *stomp.Frame) {
	b := stomp.Append(nil, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	if c.queued += len(b); c.queued > maxQueued {
		c.conn.Cut()
		return
	}
	c.queue = append(c.queue, b)
	c.signal()
}

// write writes until the connection ends. It may wait for the client; nobody waits for it. What is queued goes before
// what the feed has, so that nothing of a subscription follows the receipt for its end.
func (c *liveConn) write() {
	defer func() {
		if reason := recover(); reason != nil {
			c.d.log.Error("panic in a live connection", "panic", reason, "stack", string(debug.Stack()))
			c.conn.Cut()
		}
	}()
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	beat.Stop()
	out := output{c: c}
	var beating time.Duration
	for {
		closing, every := c.flush(&out)
		if closing != nil {
			c.conn.Close(closing.code, closing.text)
			return
		}
		if every > 0 && (out.wrote || every != beating) {
			beat.Reset(every * 4 / 5) // the client must have heard it by then
			out.wrote, beating = false, every
		}
		select {
		case <-c.wake:
		case <-c.feed.C():
			out.updates = c.feed.Take(out.updates[:0])
			for i := range out.updates {
				if out.message(&out.updates[i]) != nil {
					break // the connection has ended
				}
			}
			clear(out.updates) // the bodies may be large
		case <-beat.C:
			_ = out.send([]byte("\n"))
		case <-c.left:
			return
		}
	}
}

// flush writes what is queued. It returns what is to be said last, nil if the connection goes on, and how often the hub
// must be heard.
func (c *liveConn) flush(out *output) (*closing, time.Duration) {
	for {
		c.mu.Lock()
		queue, closing, every := c.queue, c.closing, c.beat
		c.queue, c.queued = nil, 0
		c.mu.Unlock()
		if len(queue) == 0 {
			return closing, every
		}
		for _, frame := range queue {
			_ = out.send(frame)
		}
	}
}

// output is the writer's memory.
type output struct {
	c       *liveConn
	head    []byte
	updates []live.Update
	wrote   bool // something, since the heart-beat was put off
}

// send writes one WebSocket message. An error has closed the connection already, or it is being closed, and the reader sees it.
func (o *output) send(parts ...[]byte) error {
	o.wrote = true
	return o.c.conn.Send(false, parts...)
}

// nul ends a frame.
var nul = []byte{0}

// message writes an update of the feed as a MESSAGE. Its error is that of send. The names and values that the hub makes up need no escaping, because
// common clients don't undo it in the right order.
func (o *output) message(u *live.Update) error {
	c := o.c
	c.mu.Lock()
	s := c.feeds[u.ID]
	if s == nil || c.closing != nil { // it was unsubscribed after the update was taken
		c.mu.Unlock()
		return nil
	}
	c.messages++
	number := c.messages
	resuming := s.resuming
	s.resuming = false
	s.position = live.Position{Epoch: u.Epoch, Offset: u.Offset}
	explicit := s.sent(number)
	if explicit && s.full() {
		c.hold(s)
	}
	c.mu.Unlock()

	id := strconv.FormatUint(number, 10)
	headers := append(make([]stomp.Header, 0, 10),
		stomp.Header{Name: "subscription", Value: s.id},
		stomp.Header{Name: "message-id", Value: id},
		stomp.Header{Name: "destination", Value: u.Destination},
		stomp.Header{Name: "content-type", Value: "application/json"},
		stomp.Header{Name: "epoch", Value: u.Epoch},
		stomp.Header{Name: "offset", Value: strconv.FormatUint(u.Offset, 10)},
	)
	if resuming {
		headers = append(headers, stomp.Header{Name: "resumed", Value: strconv.FormatBool(u.Resumed)},
			stomp.Header{Name: "missed", Value: missed(u.Missed)})
	}
	if u.Dropped > 0 {
		headers = append(headers, stomp.Header{Name: "dropped", Value: strconv.FormatUint(u.Dropped, 10)})
	}
	if explicit {
		headers = append(headers, stomp.Header{Name: "ack", Value: id})
	}
	o.head = stomp.AppendHead(o.head[:0], stomp.Message, len(u.Body), headers...)
	return o.send(o.head, u.Body, nul)
}

// missed is how many readings were missed, in words if that is not known.
func missed(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return strconv.FormatInt(n, 10)
}
