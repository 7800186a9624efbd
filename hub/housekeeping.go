package hub

import (
	"context"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// housekeep looks after all sessions until ctx ends. One ticker does for all: a timer or a deadline for each connection would
// have to be moved with every message.
func (h *Hub) housekeep(ctx context.Context) {
	ticker := time.NewTicker(h.pace.housekeeping)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, s := range h.sessions.list() {
			s.supervise(h.elapsed())
		}
		h.endCapacityAlarms(h.elapsed())
		h.endTakeovers(h.elapsed())
		h.limited.Summarize()
	}
}

// supervise closes a session that is silent, and asks for frames it misses.
func (s *session) supervise(now time.Duration) {
	in := s.ingest.Load()
	if in == nil {
		if now-s.opened > s.hub.pace.hello {
			s.close(device.CloseIdle, "no HELLO came")
		}
		return
	}
	// A session that is not waiting for its device is held up by the store or the rate limit: that is not silence.
	if since := s.conn.Waiting(); since > 0 && now-since > s.hub.limits.Idle {
		s.close(device.CloseIdle, "nothing was heard from the device")
		return
	}
	s.deliverDue(now)
	missing := askable(in.Holes(device.MaxRanges), s.oldest)
	if s.holes.due(now, missing, s.hub.pace) {
		s.out.mu.Lock()
		s.out.resend = missing
		s.out.mu.Unlock()
		s.wake()
	}
}
