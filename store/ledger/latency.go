package ledger

import (
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	latencyCommits = 512         // remembered at most
	latencyFor     = time.Minute // after that they are forgotten
)

// latencies remembers how long the first frame of each of the last commits waited to become durable, which the others of
// the same commit did not exceed.
type latencies struct {
	mu   sync.Mutex
	last []latency // a ring, filled from the front
	next int
}

type latency struct {
	at   wallclock.Moment
	took time.Duration
}

func (l *latencies) note(settled, began wallclock.Moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := latency{settled, time.Duration(settled-began) * time.Microsecond}
	if len(l.last) < latencyCommits {
		l.last = append(l.last, took)
		return
	}
	l.last[l.next] = took
	l.next = (l.next + 1) % latencyCommits
}

// CommitLatency returns the median and the 99th percentile, over the commits of the last minute, of the time from the
// arrival of a commit's first frame to the moment it may be acknowledged. ok is false if nothing was committed.
func (l *Ledger) CommitLatency() (p50, p99 time.Duration, ok bool) {
	ls := &l.latencies
	ls.mu.Lock()
	took := make([]time.Duration, 0, len(ls.last))
	for _, x := range ls.last {
		if l.wall.Since(x.at) <= latencyFor {
			took = append(took, x.took)
		}
	}
	ls.mu.Unlock()
	if len(took) == 0 {
		return 0, 0, false
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], true
}
