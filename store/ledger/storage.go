package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// Storage says whether frames can be made durable.
type Storage struct {
	State string    `json:"state"` // "ok", "slow" or "failing"
	Since time.Time `json:"since,omitzero"`
	Error string    `json:"error,omitempty"`
}

// Storage returns the present state.
func (l *Ledger) Storage() Storage {
	l.mu.Lock()
	failing := l.failing
	l.mu.Unlock()
	if failing.err != nil {
		return Storage{State: "failing", Since: l.wall.Time(failing.since), Error: failing.err.Error()}
	}
	now := time.Now()
	since, text := l.diskPace.slowSince(now), slowDisk
	if since.IsZero() {
		since, text = l.throttle.since(now), slowHistory
	}
	if since.IsZero() {
		return Storage{State: "ok"}
	}
	return Storage{State: "slow", Since: l.now().Add(-now.Sub(since)), Error: text}
}

const (
	slowDisk    = "the disk is slow: it takes longer than a second to make frames durable, and acknowledgements wait for it"
	slowHistory = "frames arrive faster than the local history takes them, and acknowledgements wait for it, so that nothing is lost"

	slowWrite    = time.Second     // a commit that takes longer is slow: as long as the longest commit window
	slowFor      = time.Minute     // how long a disk counts as slow after a slow commit
	throttledFor = 5 * time.Second // how long the history counts as slow after a commit had to wait for it
	watchEvery   = time.Second
)

// watchPace raises an alarm while the disk is slow, until ctx ends. It writes nothing itself, so that a disk that takes its time
// can't keep it from saying so.
func (l *Ledger) watchPace(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if l.diskPace.slowSince(time.Now()).IsZero() {
			l.alarms.Clear("slow disk")
		} else {
			l.alarms.Raise("slow disk", slowDisk+"; look for what else writes to it, and whether it is failing")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// diskPace is how long the disk takes for commits. Its times are monotonic.
type diskPace struct {
	mu       sync.Mutex
	began    time.Time // of the commit under way; zero: there is none
	slow     time.Time // when a commit was last found slow; zero: it was long ago
	slowedAt time.Time // when that began
}

func (p *diskPace) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = now
}

func (p *diskPace) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(now)
	p.began = time.Time{}
}

// update takes in what is known at the moment now. mu is held.
func (p *diskPace) update(now time.Time) {
	switch {
	case !p.began.IsZero() && now.Sub(p.began) >= slowWrite:
		if p.slow.IsZero() {
			p.slowedAt = now
		}
		p.slow = now
	case !p.slow.IsZero() && now.Sub(p.slow) >= slowFor:
		p.slow = time.Time{}
	}
}

// slowSince returns since when the disk has been slow, zero if it is not.
func (p *diskPace) slowSince(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.update(now); p.slow.IsZero() {
		return time.Time{}
	}
	return p.slowedAt
}

// throttle is when commits had to wait for the history. Its times are monotonic.
type throttle struct {
	mu          sync.Mutex
	began, last time.Time // zero: never
}

func (t *throttle) note(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) >= throttledFor {
		t.began = now
	}
	t.last = now
}

// since returns since when commits have had to wait, zero if they do not.
func (t *throttle) since(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) >= throttledFor {
		return time.Time{}
	}
	return t.began
}

// LagBytes estimates the journal bytes behind cursor; within a segment entries are taken as equally long.
func LagBytes(segments []journal.Segment, cursor uint64) (bytes int64) {
	for _, segment := range segments {
		switch {
		case segment.First >= cursor:
			bytes += segment.Bytes
		case segment.Next > cursor:
			bytes += int64(float64(segment.Bytes) * float64(segment.Next-cursor) / float64(segment.Next-segment.First))
		}
	}
	return bytes
}
