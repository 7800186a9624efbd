package export

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

const (
	retryMin      = 500 * time.Millisecond // after the first failure; doubled with each one that follows
	retryTry      = 4 * time.Second        // with one line: a server that is back is noticed within 5 s
	retryMax      = 30 * time.Second       // with a batch, to a server that takes single lines only
	retryDenied   = 30 * time.Second       // some servers lock out who shows a wrong token too often
	retryAfterMax = 10 * time.Minute       // what a server may ask for
)

// gate lets requests through while the server answers. While it does not, one batch at a time tries, after a pause: first one
// of its lines, then all.
type gate struct {
	// static
	alarm                                     func(text string)
	retryMin, retryTry, retryMax, retryDenied time.Duration

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

// enter waits until a request may be made, or returns false when ctx ends. try says that one line has to go
// ahead. The caller reports how it went.
func (g *gate) enter(ctx context.Context) (try, ok bool) {
	for ctx.Err() == nil {
		g.mu.Lock()
		wait, changed := time.Until(g.next), g.changed
		if g.verdict == 0 || wait <= 0 && !g.trying {
			try = g.verdict != 0
			g.trying = try
			g.mu.Unlock()
			return try, true
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
	return false, false
}

// report says how the requests went; nil is success. tried says that the first line was refused already.
func (g *gate) report(err error, tried bool) {
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
			g.alarm("")
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
	g.next = time.Now().Add(g.pause(refusal, tried))
	if changed {
		g.alarm(fmt.Sprintf("InfluxDB takes no lines, the journal keeps the frames (%s): %s", g.state(), refusal.Text))
	}
}

// pause is how long to wait after a refusal.
func (g *gate) pause(r *influx.Refusal, tried bool) time.Duration {
	if r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden {
		return g.retryDenied
	}
	most := g.retryMax
	if tried {
		most = g.retryTry
	}
	g.wait = min(max(2*g.wait, g.retryMin), most)
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
