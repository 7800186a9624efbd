package hub

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimiters bounds the memory that strangers can make a hub spend on remembering them (about 2 MiB).
const maxLimiters = 1 << 14

// limiters is one token bucket for each key. A key without one has a full bucket.
type limiters[K comparable] struct {
	// static
	limit rate.Limit
	burst int

	// guarded by mu
	mu     sync.Mutex
	byKey  map[K]*rate.Limiter
	rest   *rate.Limiter // shared by the keys for which there is no room
	forgot time.Time     // when forget last ran
}

func newLimiters[K comparable](perSecond float64, burst int) *limiters[K] {
	limit := rate.Limit(perSecond)
	return &limiters[K]{limit: limit, burst: burst, byKey: map[K]*rate.Limiter{}, rest: rate.NewLimiter(limit, burst)}
}

// take takes one token of the key and reports whether there was one.
func (b *limiters[K]) take(key K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.byKey[key]
	if l == nil {
		if now := time.Now(); len(b.byKey) >= maxLimiters && now.Sub(b.forgot) > time.Second { // it takes a millisecond
			b.forgot = now
			b.forget()
		}
		if len(b.byKey) >= maxLimiters {
			return b.rest.Allow()
		}
		l = rate.NewLimiter(b.limit, b.burst)
		b.byKey[key] = l
	}
	return l.Allow()
}

// forget drops the buckets that are full again.
func (b *limiters[K]) forget() {
	for key, l := range b.byKey {
		if l.Tokens() >= float64(b.burst) {
			delete(b.byKey, key)
		}
	}
}

// bucket is the token bucket of one who waits for it, and has no lock and no clock of its own. The zero bucket is full.
type bucket struct {
	used float64 // tokens; more than the burst: they are owed
	at   time.Duration
}

// spend takes n tokens at a moment, and returns how many are taken that have not come back. Tokens come back at a rate.
func (b *bucket) spend(now time.Duration, perSecond float64, n float64) (used float64) {
	if now > b.at {
		b.used = max(0, b.used-perSecond*(now-b.at).Seconds())
		b.at = now
	}
	b.used += n
	return b.used
}
