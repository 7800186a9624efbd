// Package limit shares out what the hub can do for those who ask: places to do something, and tries.
package limit

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrBusy says that too many wait already.
var ErrBusy = errors.New("too many wait for that already")

// Party is in whose name a place is taken: an account's, or that of a stranger's address.
type Party struct {
	Name  string
	Known bool // strangers take no waiting place from those who are known, and the two kinds take turns
}

// Turns bounds how many do something at a time, and shares the places out. No party has more than its share, and all parties that
// wait take turns, however many requests each has sent. When as many wait as may, those of the party with the most give way.
type Turns struct {
	// static
	places  int // at a time
	share   int // of them for one Party
	waiting int // of each kind, known or not

	// guarded by mu
	mu      sync.Mutex
	taken   int
	given   uint64 // turns so far
	known   bool   // who had the last one
	parties map[Party]*standing
	queue   []*turn // in order of arrival
}

// standing is what a party has. It is forgotten when that is nothing.
type standing struct {
	taken, waiting int
	last           uint64 // turn
}

type turn struct {
	party Party
	ready chan error // capacity 1: nil is a place
}

// NewTurns returns turns with so many places, of which a party may have its share, and for so many of each kind to wait.
func NewTurns(places, share, waiting int) *Turns {
	return &Turns{places: places, share: share, waiting: waiting, parties: map[Party]*standing{}}
}

// Enter takes a place, for which Leave has to be called. It waits for it if it may, and returns ErrBusy if it may not, or the
// error of ctx.
func (t *Turns) Enter(ctx context.Context, p Party) error {
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
		return ErrBusy
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
		t.Leave(p) // the place came at the same time
	}
	return ctx.Err()
}

// Leave gives a place back.
func (t *Turns) Leave(p Party) {
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

// Taken is how many places are taken.
func (t *Turns) Taken() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken
}

// Waiting is how many wait for a place.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

// The methods below are called with mu held.

func (t *Turns) give(p Party) {
	s := t.parties[p]
	t.given++
	t.taken++
	s.taken++
	s.last, t.known = t.given, p.Known
}

// next returns who is to have the next place: of the kind that did not have the last one, the party whose last turn is longest ago.
func (t *Turns) next() (best *turn) {
	for _, w := range t.queue {
		s := t.parties[w.party]
		if s.taken >= t.share {
			continue
		}
		if best == nil || w.party.Known != t.known && best.party.Known == t.known ||
			w.party.Known == best.party.Known && s.last < t.parties[best.party].last {
			best = w
		}
	}
	return best
}

// mayWait says whether there is room for p to wait. A party of its kind that has more than one waiting more than p makes room.
func (t *Turns) mayWait(p Party) bool {
	n, most := 0, (*turn)(nil)
	for _, w := range t.queue {
		if w.party.Known != p.Known {
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
	most.ready <- ErrBusy
	return true
}

// withdraw takes w out of the queue, if it is still there.
func (t *Turns) withdraw(w *turn) bool {
	i := slices.Index(t.queue, w)
	if i < 0 {
		return false
	}
	t.queue = slices.Delete(t.queue, i, i+1)
	t.parties[w.party].waiting--
	t.forget(w.party)
	return true
}

func (t *Turns) forget(p Party) {
	if s := t.parties[p]; s.taken == 0 && s.waiting == 0 {
		delete(t.parties, p)
	}
}
