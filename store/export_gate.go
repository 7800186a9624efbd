package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

const (
	retryExportMin    = 500 * time.Millisecond // after the first failure; doubled with each one that follows
	retryExportMax    = 30 * time.Second
	retryExportPaused = 30 * time.Second
	retryAfterMax     = 10 * time.Minute // what a server may ask for
)

// gate lets requests through while the server answers. While it does not, one request at a time tries, after a pause.
type gate struct {
	// static
	alarms                          *alarms
	retryMin, retryMax, retryPaused time.Duration

	mu      sync.Mutex
	verdict influx.Verdict // 0: the server takes lines
	status  int            // of its last refusal
	reason  string
	since   time.Time // of this verdict
	next    time.Time // when to try again
	wait    time.Duration
	trying  bool
	changed chan struct{} // closed, and replaced, when one of them changes
}

// enter waits until a request may be made, or returns false when ctx ends. The caller reports how it went.
func (g *gate) enter(ctx context.Context) bool {
	for ctx.Err() == nil {
		g.mu.Lock()
		wait, changed := time.Until(g.next), g.changed
		if g.verdict == 0 || wait <= 0 && !g.trying {
			g.trying = g.verdict != 0
			g.mu.Unlock()
			return true
		}
		trying := g.trying
		g.mu.Unlock()
		var due <-chan time.Time
		if !trying {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
		}
	}
	return false
}

// report says how a request went; nil is success.
func (g *gate) report(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trying = false
	defer func() {
		close(g.changed)
		g.changed = make(chan struct{})
	}()
	if err == nil {
		if g.verdict != 0 {
			g.verdict, g.status, g.reason, g.since, g.wait = 0, 0, "", time.Now(), 0
			g.alarms.clear(exportName)
		}
		return
	}
	refusal := &influx.Refusal{Verdict: influx.Retry, Text: err.Error()}
	errors.As(err, &refusal)
	changed := g.verdict != refusal.Verdict || g.status != refusal.Status
	if g.verdict != refusal.Verdict {
		g.since, g.wait = time.Now(), 0
	}
	g.verdict, g.status, g.reason = refusal.Verdict, refusal.Status, refusal.Text
	g.next = time.Now().Add(g.pause(refusal))
	if changed {
		g.alarms.set(exportName, fmt.Sprintf("InfluxDB takes no lines, the journal keeps the frames (%s): %s", g.state(), refusal.Text))
	}
}

// pause is how long to wait after a refusal.
func (g *gate) pause(r *influx.Refusal) time.Duration {
	if r.Verdict == influx.Pause {
		return g.retryPaused
	}
	g.wait = min(max(2*g.wait, g.retryMin), g.retryMax)
	jittered := g.wait/2 + rand.N(g.wait/2+1)
	return max(jittered, min(r.RetryAfter, retryAfterMax))
}

// state names the verdict; mu is held.
func (g *gate) state() string {
	switch g.verdict {
	case 0:
		return "reachable"
	case influx.Pause:
		return "paused"
	default:
		return "backing off"
	}
}
