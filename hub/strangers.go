package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	strangerLines = 10          // of one message in a span
	strangerSpan  = time.Minute //
	strangerHosts = 1000        // told apart in a span
)

// Strangers is a logger for what anybody can provoke who only reaches the hub: such lines could fill a disk. Of each message it
// writes ten lines a minute, and then one that says how many more there were, and from how many addresses.
type Strangers struct {
	*slog.Logger
	lines *strangerCounts
}

// NewStrangers returns a logger that writes to log. The messages must be constants; the address of the stranger is the
// attribute "address".
func NewStrangers(log *slog.Logger, elapsed func() time.Duration) *Strangers {
	lines := &strangerCounts{log: log, elapsed: elapsed, byMessage: map[string]*strangerCount{}}
	return &Strangers{slog.New(strangerHandler{log.Handler(), lines}), lines}
}

// Settle writes the lines about what was left out. It is to be called once a second or so.
func (s *Strangers) Settle() { s.lines.settle() }

type strangerCounts struct {
	log     *slog.Logger
	elapsed func() time.Duration

	mu        sync.Mutex
	byMessage map[string]*strangerCount
}

// strangerCount is one message in one span.
type strangerCount struct {
	level   slog.Level
	began   time.Duration
	lines   int
	leftOut int
	hosts   map[string]struct{} // of those left out
}

// strangerHandler is the slog.Handler of Strangers.
type strangerHandler struct {
	slog.Handler
	lines *strangerCounts
}

func (h strangerHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.lines.leaveOut(&r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h strangerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return strangerHandler{h.Handler.WithAttrs(attrs), h.lines}
}

func (h strangerHandler) WithGroup(name string) slog.Handler {
	return strangerHandler{h.Handler.WithGroup(name), h.lines}
}

// leaveOut counts a line, and tells whether it is one too many.
func (c *strangerCounts) leaveOut(r *slog.Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byMessage[r.Message]
	if n == nil {
		n = &strangerCount{level: r.Level, began: c.elapsed(), hosts: map[string]struct{}{}}
		c.byMessage[r.Message] = n
	}
	if n.lines < strangerLines {
		n.lines++
		return false
	}
	n.leftOut++
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "address" && len(n.hosts) < strangerHosts {
			n.hosts[hostOf(a.Value.String())] = struct{}{}
		}
		return a.Key != "address"
	})
	return true
}

func (c *strangerCounts) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.elapsed()
	for message, n := range c.byMessage {
		if now-n.began < strangerSpan {
			continue
		}
		delete(c.byMessage, message)
		if n.leftOut > 0 {
			c.log.Log(context.Background(), n.level, message, "more", n.leftOut, "addresses", len(n.hosts), "in", (now - n.began).Round(time.Second))
		}
	}
}
