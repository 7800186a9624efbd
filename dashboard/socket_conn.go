package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// messageRate is how many messages and frames a second a client may send, after a first burst. A faster one is read more
// slowly.
const (
	messageRate  = 20
	messageBurst = 50
)

// liveConn is one STOMP connection. One goroutine reads it (run), one writes (write).
type liveConn struct {
	// static
	d       *Dashboard
	conn    *socket.Conn
	feed    *live.Viewer
	place   *place
	request *http.Request // of the handshake
	opened  time.Time
	ctx     context.Context // ends when nothing more is taken from the client
	cancel  context.CancelFunc
	wake    chan struct{} // capacity 1: there is something to write
	left    chan struct{} // closed when reading has ended

	// owned by the read loop
	parser       *stomp.Parser
	early        int // bytes that came before CONNECTED
	limiter      *rate.Limiter
	transactions map[string]*transaction
	held         int // bytes in transactions
	numbered     uint64

	// guarded by mu
	mu        sync.Mutex
	identity  *accounts.Identity // nil: not known yet
	connected bool
	beat      time.Duration            // the hub must be heard so often; 0: need not
	silence   time.Duration            // the client is given up after it; 0: never
	subs      map[string]*subscription // by the client's id
	feeds     map[string]*subscription // by the feed's
	messages  uint64                   // MESSAGEs written
	queue     [][]byte                 // frames to be written before any MESSAGE
	queued    int                      // bytes in it
	closing   *closing                 // set once
}

// sessionExpired is what a viewer is told whose session or key has ended.
const sessionExpired = "session-expired"

// closing is the last thing said.
type closing struct {
	code device.CloseCode
	text string
}

// refusal is why a client's frame was refused; it ends the connection with this code.
type refusal struct {
	code device.CloseCode
	text string
}

func (r *refusal) Error() string { return r.text }

// wrong refuses what STOMP or the hub does not allow.
func wrong(format string, args ...any) error {
	return &refusal{device.CloseBadState, fmt.Sprintf(format, args...)}
}

// denied refuses what this client may not do.
func denied(text string) error { return &refusal{device.ClosePolicy, text} }

func newLiveConn(d *Dashboard, conn *socket.Conn, p *place, r *http.Request) *liveConn {
	c := &liveConn{
		d: d, conn: conn, feed: d.feed.Viewer(), place: p, request: r, opened: time.Now(),
		wake: make(chan struct{}, 1), left: make(chan struct{}),
		parser: stomp.NewParser(frameLimits), limiter: rate.NewLimiter(messageRate, messageBurst),
		subs: map[string]*subscription{}, feeds: map[string]*subscription{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// known notes who it is.
func (c *liveConn) known(id accounts.Identity) {
	hub.Admit(c.request, sendBuffer)
	c.feed.Is(actorName(id))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = &id
}

// run reads until the connection ends, and then gives back all it has taken.
func (c *liveConn) run() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	end := c.conn.Serve(c)
	c.cancel()
	close(c.left)
	writer.Wait()
	c.conn.HangUp(c.d.livePace.closing)
	c.feed.Close()
	c.place.leave()
	c.log(end)
}

func (c *liveConn) log(end error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, code, reason := "", device.CloseCode(0), "the connection ended"
	if c.identity != nil {
		name = c.identity.Name
	}
	switch {
	case c.conn.Slow():
		reason = "the viewer does not read"
	case c.closing != nil:
		code, reason = c.closing.code, c.closing.text
	case end != nil:
		reason = end.Error()
	}
	if p, ok := errors.AsType[*socket.Panic](end); ok {
		c.d.log.Error("panic in a live connection", "panic", p.Value, "stack", string(p.Stack))
	}
	log := c.d.log
	if c.identity == nil {
		log = c.d.limited.Logger
	}
	log.Info("viewer left", "user", name, "address", c.request.RemoteAddr, "duration", time.Since(c.opened).Round(time.Millisecond),
		"messages", c.messages, "code", int(code), "reason", reason)
}

// Ping answers the client. With Pong and Message it is socket.Handler.
func (c *liveConn) Ping(payload []byte) {
	if c.allow() {
		c.conn.Pong(payload)
	}
}

// Pong counts like a message: nobody has asked for it.
func (c *liveConn) Pong() { c.allow() }

// Message takes a piece of the stream of octets that STOMP frames are in: text and binary messages make no difference, nor
// does where a message ends.
func (c *liveConn) Message(_ bool, b []byte) {
	if !c.allow() {
		return
	}
	for first := true; len(b) > 0 && c.ctx.Err() == nil; first = false {
		part := b
		if !c.isConnected() {
			part = b[:min(len(b), maxEarly-c.early)]
			if len(part) == 0 {
				c.refuse(wrong("CONNECT must come within %d bytes", maxEarly), "")
				return
			}
		}
		f, rest, err := c.parser.Next(part)
		if err != nil {
			c.refuse(wrong("%s", err.Text), err.Receipt)
			return
		}
		used := len(part) - len(rest)
		if !c.isConnected() {
			c.early += used
		}
		b = b[used:]
		if f == nil {
			continue
		}
		if !first && !c.allow() {
			return
		}
		c.frame(f)
	}
}

// allow waits until the client may send one more message, while TCP holds it back. It returns false if the connection is
// ending: nothing more is taken from it.
func (c *liveConn) allow() bool { return c.limiter.Wait(c.ctx) == nil }

func (c *liveConn) isConnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// look checks that the client may stay.
func (c *liveConn) look() {
	c.mu.Lock()
	id, connected, silence := c.identity, c.connected, c.silence
	c.mu.Unlock()
	if id != nil {
		present, err := c.d.store.Accounts.Recheck(*id)
		if err != nil || !present.Role.Allows(accounts.RoleViewer) {
			c.refuse(denied(sessionExpired), "")
			return
		}
		c.mu.Lock()
		c.identity = &present
		c.mu.Unlock()
	}
	waiting := c.conn.Waiting()
	switch {
	case !connected && time.Since(c.opened) > c.d.livePace.connect:
		c.finish(device.ClosePolicy, "no CONNECT came")
	case silence > 0 && waiting > 0 && c.d.elapsed()-waiting > silence:
		c.refuse(&refusal{device.CloseIdle, "no heart-beat came"}, "")
	}
}

// sendAway ends the connection for a reason that is not its own.
func (c *liveConn) sendAway(code device.CloseCode, why string) { c.finish(code, why) }

// refuse ends the connection with an ERROR frame. receipt is that of the frame that is to blame, if it had one.
func (c *liveConn) refuse(err error, receipt string) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		c.d.log.Error("a live connection failed", "error", err)
		r = &refusal{device.CloseInternal, "the hub failed"}
	}
	headers := []stomp.Header{{Name: "version", Value: "1.2"}, {Name: "message", Value: r.text}, {Name: "content-type", Value: "text/plain"}}
	if receipt != "" {
		headers = append(headers, stomp.Header{Name: "receipt-id", Value: receipt})
	}
	c.end(stomp.Append(nil, &stomp.Frame{Command: stomp.Error, Headers: headers, Body: []byte(r.text + "\n")}), closing(*r))
}

// finish ends the connection without ERROR.
func (c *liveConn) finish(code device.CloseCode, text string) { c.end(nil, closing{code, text}) }

// end begins the end, from any goroutine, and does not wait for it. Nothing is taken from the client any more. What is
// queued goes first, then last, then the Close frame; the client has pace.closing to read all that and to answer.
func (c *liveConn) end(last []byte, how closing) {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	c.closing = &how
	if last != nil {
		c.queue = append(c.queue, last)
	}
	time.AfterFunc(c.d.livePace.closing, c.conn.Cut)
	c.signal()
}

func (c *liveConn) signal() {
	notify.Signal(c.wake)
}
