package dashboard

import (
	"net/netip"
	"sync"
	"time"
)

// maxThrottled bounds the memory that strangers can make the hub spend on remembering them (under 1 MiB).
const maxThrottled = 1 << 12

// allowance is how many wrong passwords there may be: a first burst, then one in every interval.
type allowance struct {
	burst int
	every time.Duration
}

// Who guesses from one address, or at one user from many, has to wait. Who shows that he has been logged in as this user
// before has an allowance of his own: others can't lock him out by guessing.
var (
	perAddress = allowance{20, 15 * time.Second}
	perUser    = allowance{10, time.Minute}
	perSession = allowance{10, 15 * time.Second}
)

// suspect is who is held to an allowance.
type suspect struct {
	allowance
	who string
}

// throttle counts wrong passwords. One attempt takes one from the allowance of each suspect, a right one gives it back.
type throttle struct {
	now func() time.Time

	mu   sync.Mutex
	full map[suspect]time.Time // when the allowance will be whole again; it is now for those not in it
}

// take takes one from each allowance, and returns 0; or, if one is used up, nothing, and returns how long to wait.
func (t *throttle) take(suspects []suspect) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, s := range suspects {
		if full := t.full[s]; full.After(now) {
			wait = max(wait, full.Sub(now)-time.Duration(s.burst-1)*s.every)
		}
	}
	if wait > 0 {
		return wait
	}
	if len(t.full)+len(suspects) > maxThrottled {
		t.forget(now)
	}
	for _, s := range suspects {
		if t.full[s].Before(now) {
			t.full[s] = now
		}
		t.full[s] = t.full[s].Add(s.every)
	}
	return 0
}

// giveBack undoes take.
func (t *throttle) giveBack(suspects []suspect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range suspects {
		if _, ok := t.full[s]; ok {
			t.full[s] = t.full[s].Add(-s.every)
		}
	}
}

// forget drops the allowances that are whole again and, if none is, those that come first.
func (t *throttle) forget(now time.Time) {
	for s, full := range t.full {
		if !full.After(now) {
			delete(t.full, s)
		}
	}
	for s := range t.full {
		if len(t.full) <= maxThrottled*3/4 {
			return
		}
		delete(t.full, s)
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
