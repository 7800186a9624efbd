package dashboard

import (
	"context"
	"slices"
	"sync"

	"github.com/telemetry-hub/telemetry-hub/store"
)

// party is in whose name a place is taken: an account's, or that of a stranger's address.
type party struct {
	name  string
	known bool // strangers take no waiting place from those who are known, and the two kinds take turns
}

func partyOf(id store.Identity) party { return party{accountOf(id), true} }

// turns bounds how many do something at a time, and shares the places out. No party has more than its share, and all parties that
// wait take turns, however many requests each has sent. When as many wait as may, those of the party with the most give way.
type turns struct {
	// static
	places  int // at a time
	share   int // of them for one party
	waiting int // of each kind, known or not

	// guarded by mu
	mu      sync.Mutex
	taken   int
	given   uint64 // turns so far
	known   bool   // who had the last one
	parties map[party]*standing
	queue   []*turn // in order of arrival
}

// standing is what a party has. It is forgotten when that is nothing.
type standing struct {
	taken, waiting int
	last           uint64 // turn
}

type turn struct {
	party party
	ready chan error // capacity 1: nil is a place
}

func newTurns(places, share, waiting int) *turns {
	return &turns{places: places, share: share, waiting: waiting, parties: map[party]*standing{}}
}

// enter takes a place, for which leave has to be called. It waits for it if it may, and returns store.ErrBusy if it may not, or the
// error of ctx.
func (t *turns) enter(ctx context.Context, p party) error {
	t.mu.Lock()
	s := t.parties[p]
	if s == nil {
		s = &standing{}
		t.parties[p] = s
	}
	if t.taken < t.places && s.taken < t.share { // whoever waits has its share
		t.give(p)
		t.mu.Unlock()
		return nil
	}
	if !t.mayWait(p) {
		t.forget(p)
		t.mu.Unlock()
		return store.ErrBusy
	}
	own := &turn{p, make(chan error, 1)}
	t.queue = append(t.queue, own)
	s.waiting++
	t.mu.Unlock()
	select {
	case err := <-own.ready:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	still := t.withdraw(own)
	t.mu.Unlock()
	if !still && <-own.ready == nil {
		t.leave(p) // the place came at the same time
	}
	return ctx.Err()
}

func (t *turns) leave(p party) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	t.parties[p].taken--
	t.forget(p)
	for t.taken < t.places {
		next := t.next()
		if next == nil {
			return
		}
		t.give(next.party)
		t.withdraw(next)
		next.ready <- nil
	}
}

// The methods below are called with mu held.

func (t *turns) give(p party) {
	s := t.parties[p]
	t.given++
	t.taken++
	s.taken++
	s.last, t.known = t.given, p.known
}

// next returns who is to have the next place: of the kind that did not have the last one, the party whose last turn is longest ago.
func (t *turns) next() (best *turn) {
	for _, w := range t.queue {
		s := t.parties[w.party]
		if s.taken >= t.share {
			continue
		}
		if best == nil || w.party.known != t.known && best.party.known == t.known ||
			w.party.known == best.party.known && s.last < t.parties[best.party].last {
			best = w
		}
	}
	return best
}

// mayWait says whether there is room for p to wait. A party of its kind that has more than one waiting more than p makes room.
func (t *turns) mayWait(p party) bool {
	n, most := 0, (*turn)(nil)
	for _, w := range t.queue {
		if w.party.known != p.known {
			continue
		}
		n++
		if most == nil || t.parties[w.party].waiting >= t.parties[most.party].waiting {
			most = w // the last to come of those with the most, so that others keep their places
		}
	}
	if n < t.waiting {
		return true
	}
	if most == nil || t.parties[most.party].waiting <= t.parties[p].waiting+1 {
		return false
	}
	t.withdraw(most)
	most.ready <- store.ErrBusy
	return true
}

// withdraw takes w out of the queue, if it is still there.
func (t *turns) withdraw(w *turn) bool {
	i := slices.Index(t.queue, w)
	if i < 0 {
		return false
	}
	t.queue = slices.Delete(t.queue, i, i+1)
	t.parties[w.party].waiting--
	t.forget(w.party)
	return true
}

func (t *turns) forget(p party) {
	if s := t.parties[p]; s.taken == 0 && s.waiting == 0 {
		delete(t.parties, p)
	}
}
