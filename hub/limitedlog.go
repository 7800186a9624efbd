package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

const (
	limitedLines = 10          // of one message in a span
	limitedSpan  = time.Minute //
	limitedHosts = 1000        // counted in a span
)

// LimitedLog is a logger for what anybody can provoke who only reaches the hub: such lines could fill a disk. Of each message it
// writes ten lines a minute, and then one that says how many more there were, and from how many addresses.
type LimitedLog struct {
	*slog.Logger
	lines *messageCounts
}

// NewLimitedLog returns a logger that writes to log. The messages must be constants; the address of the stranger is the
// attribute "address".
func NewLimitedLog(log *slog.Logger, elapsed func() time.Duration) *LimitedLog {
	lines := &messageCounts{log: log, elapsed: elapsed, byMessage: map[string]*messageCount{}}
	return &LimitedLog{slog.New(limitedHandler{log.Handler(), lines}), lines}
}

// Summarize writes the lines about what was left out. It is to be called once a second or so.
func (s *LimitedLog) Summarize() { s.lines.settle() }

type messageCounts struct {
	log     *slog.Logger
	elapsed func() time.Duration

	mu        sync.Mutex
	byMessage map[string]*messageCount
}

// messageCount is one message in one span.
type messageCount struct {
	level   slog.Level
	began   time.Duration
	lines   int
	leftOut int
	hosts   map[string]struct{} // of those left out
}

// limitedHandler is the slog.Handler of a LimitedLog.
type limitedHandler struct {
	slog.Handler
	lines *messageCounts
}

func (h limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.lines.leaveOut(&r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limitedHandler{h.Handler.WithAttrs(attrs), h.lines}
}

func (h limitedHandler) WithGroup(name string) slog.Handler {
	return limitedHandler{h.Handler.WithGroup(name), h.lines}
}

// leaveOut counts a line, and reports whether it is one too many.
func (c *messageCounts) leaveOut(r *slog.Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byMessage[r.Message]
	if n == nil {
		n = &messageCount{level: r.Level, began: c.elapsed(), hosts: map[string]struct{}{}}
		c.byMessage[r.Message] = n
	}
	if n.lines < limitedLines {
		n.lines++
		return false
	}
	n.leftOut++
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "address" && len(n.hosts) < limitedHosts {
			n.hosts[live.HostOf(a.Value.String())] = struct{}{}
		}
		return a.Key != "address"
	})
	return true
}

func (c *messageCounts) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.elapsed()
	for message, n := range c.byMessage {
		if now-n.began < limitedSpan {
			continue
		}
		delete(c.byMessage, message)
		if n.leftOut > 0 {
			c.log.Log(context.Background(), n.level, message, "more", n.leftOut, "addresses", len(n.hosts), "in", (now - n.began).Round(time.Second))
		}
	}
}
