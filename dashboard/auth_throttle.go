package dashboard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// allowance is how many wrong passwords there may be: a first burst, then one in every interval.
type allowance struct {
	kind  string
	burst int
	every time.Duration
}

// Who guesses from one address, or at one user from many, has to wait. Who shows that he has been logged in as this user
// before has an allowance of his own: others can't lock him out by guessing.
var (
	perAddress = allowance{"address", 20, 15 * time.Second}
	perUser    = allowance{"user", 10, time.Minute}
	perSession = allowance{"session", 10, 15 * time.Second}
)

// maxLoginsWaiting is how many strangers, and how many who are known, may wait for their password to be checked, one at a time. A
// check takes tens of milliseconds on a PC and some hundred on a small gateway.
const maxLoginsWaiting = 16

// throttleSlots bounds the memory for remembering who guessed wrong: a few of them share a slot. To use up more than a
// small part of the slots takes more guesses than passwords can be checked, of which each takes tens of milliseconds.
const throttleSlots = 1 << 13

// suspect is who is held to an allowance.
type suspect struct {
	allowance
	slot int
}

// throttle counts wrong passwords. An attempt takes one from the allowance of each suspect, a right password gives it back.
type throttle struct {
	// static
	now   func() time.Time
	began time.Time
	seed  maphash.Seed // so that nobody can choose whom to share a slot with

	// guarded by mu
	mu   sync.Mutex
	full [throttleSlots]time.Duration // since began: when the allowance will be whole again
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, began: now(), seed: maphash.MakeSeed()}
}

// suspect returns who is held to a. Those that do not exist count like any other: who guesses must not learn which do.
func (t *throttle) suspect(a allowance, who string) suspect {
	return suspect{a, int(maphash.String(t.seed, a.kind+" "+who) % throttleSlots)}
}

// take takes one from each allowance, and returns 0; or, if one is used up, takes nothing and returns how long to wait.
func (t *throttle) take(suspects []suspect) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().Sub(t.began)
	for _, s := range suspects {
		wait = max(wait, t.full[s.slot]-now-time.Duration(s.burst-1)*s.every)
	}
	if wait > 0 {
		return wait
	}
	for _, s := range suspects {
		t.full[s.slot] = max(t.full[s.slot], now) + s.every
	}
	return 0
}

// giveBack undoes take.
func (t *throttle) giveBack(suspects []suspect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range suspects {
		t.full[s.slot] -= s.every
	}
}

// network is what one stranger usually has: an IPv4 address or an IPv6 /64.
func network(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // 32 and 64 fit
	return prefix.String()
}
