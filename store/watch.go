package store

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	watchEvery    = time.Second
	tightPatience = 5 * time.Second
)

// watch looks after the disk until ctx ends: its room and its pace. It writes nothing itself, so that a disk that takes its
// time can't keep it from saying so.
func (s *Store) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var tight time.Time
	for {
		s.watchRoom(s.space(s.opts.Dir), &tight)
		s.watchPace(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchRoom keeps the history within the room there is, and raises an alarm while the disk is nearly full or has no room for
// what the limits allow. tight is since when it has been nearly full, which the trimming of the journal may cure.
func (s *Store) watchRoom(d diskSpace, tight *time.Time) {
	h := s.history.Load()
	if !d.tight() {
		*tight = time.Time{}
	} else if tight.IsZero() {
		*tight = time.Now()
	}
	lasting := d.tight() && time.Since(*tight) >= tightPatience
	if !d.tight() || lasting && !d.brimful() {
		h.SetRoom(d.growth() / 2) // the other half is the journal's
	}
	if d.tight() {
		signal(s.trimNow)
	}
	if lasting {
		s.Alarms.Raise("disk", "the disk is nearly full: the hub keeps less than its limits allow, and soon stops acknowledging; make room on the file system of "+s.opts.Dir)
	} else if d.roomy() {
		s.Alarms.Clear("disk")
	}
	if s.opts.JournalMaxBytes == math.MaxInt64 {
		return // a command has opened the files; the hub's limits are not known
	}
	grow := max(s.opts.JournalMaxBytes-s.journal.Bytes(), 0) + max(s.opts.HistoryMaxBytes-h.Stats().FileBytes, 0)
	switch room := d.growth(); {
	case grow > room:
		s.Alarms.Raise("limits", fmt.Sprintf("the disk has no room for the limits: journal and history may grow by %d MiB, and there is room for %d MiB; lower [journal] max_bytes and [history] max_bytes, or make room",
			grow>>20, room>>20))
	case grow <= room-room/10:
		s.Alarms.Clear("limits")
	}
}

const (
	// slowWrite is how long a commit may take before the disk is called slow: as long as the longest commit window.
	slowWrite = time.Second
	// slowFor is how long a disk counts as slow after a slow commit.
	slowFor = time.Minute
)

// pace is how long the disk takes for commits. Its times are monotonic.
type pace struct {
	mu       sync.Mutex
	began    time.Time // of the commit under way; zero: there is none
	slow     time.Time // when a commit was last found slow; zero: it was long ago
	slowedAt time.Time // when that began
}

func (p *pace) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = now
}

func (p *pace) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look(now)
	p.began = time.Time{}
}

// look updates what is known at the moment now. mu is held.
func (p *pace) look(now time.Time) {
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
func (p *pace) slowSince(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.look(now); p.slow.IsZero() {
		return time.Time{}
	}
	return p.slowedAt
}

const slowText = "the disk is slow: it takes longer than a second to make frames durable, and acknowledgements wait for it"

// watchPace raises an alarm while the disk is slow.
func (s *Store) watchPace(now time.Time) {
	if s.pace.slowSince(now).IsZero() {
		s.Alarms.Clear("slow disk")
	} else {
		s.Alarms.Raise("slow disk", slowText+"; look for what else writes to it, and whether it is failing")
	}
}

// heldBack is when commits had to wait for the history. Its times are monotonic.
type heldBack struct {
	mu          sync.Mutex
	began, last time.Time // zero: never
}

const (
	heldBackFor  = 5 * time.Second // after the last wait
	heldBackText = "frames arrive faster than the local history takes them, and acknowledgements wait for it, so that nothing is lost"
)

func (h *heldBack) note(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.last) >= heldBackFor {
		h.began = now
	}
	h.last = now
}

// since returns since when commits have had to wait, zero if they do not.
func (h *heldBack) since(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.last) >= heldBackFor {
		return time.Time{}
	}
	return h.began
}
