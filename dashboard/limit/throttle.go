package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

// Allowance is how many tries there may be: a first burst, then one in every interval.
type Allowance struct {
	Kind  string
	Burst int
	Every time.Duration
}

// slots bounds the memory for remembering who has tried: a few of them share a slot. To use up more than a
// small part of the slots takes more guesses than passwords can be checked, of which each takes tens of milliseconds.
const slots = 1 << 13

// Suspect is who is held to an allowance.
type Suspect struct {
	Allowance
	Slot int
}

// Throttle counts tries. One takes from the allowance of each suspect, and one that was right gives it back.
type Throttle struct {
	// static
	now   func() time.Time
	began time.Time
	seed  maphash.Seed // so that nobody can choose whom to share a slot with

	// guarded by mu
	mu   sync.Mutex
	full [slots]time.Duration // since began: when the allowance will be whole again
}

// NewThrottle returns a throttle that goes by the clock now.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{now: now, began: now(), seed: maphash.MakeSeed()}
}

// Suspect returns who is held to a. Those that do not exist count like any other: who guesses must not learn which do.
func (t *Throttle) Suspect(a Allowance, who string) Suspect {
	return Suspect{a, int(maphash.String(t.seed, a.Kind+" "+who) % slots)}
}

// Take takes one from each allowance, and returns 0; or, if one is used up, takes nothing and returns how long to wait.
func (t *Throttle) Take(suspects []Suspect) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().Sub(t.began)
	for _, s := range suspects {
		wait = max(wait, t.full[s.Slot]-now-time.Duration(s.Burst-1)*s.Every)
	}
	if wait > 0 {
		return wait
	}
	for _, s := range suspects {
		t.full[s.Slot] = max(t.full[s.Slot], now) + s.Every
	}
	return 0
}

// GiveBack undoes Take.
func (t *Throttle) GiveBack(suspects []Suspect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range suspects {
		t.full[s.Slot] -= s.Every
	}
}
