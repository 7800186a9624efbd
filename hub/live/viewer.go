package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// Errors of Viewer.Subscribe and Viewer.Unsubscribe.
var (
	ErrDuplicate      = errors.New("there is a subscription with this id already")
	ErrNoSubscription = errors.New("there is no subscription with this id")
	ErrClosed         = errors.New("the viewer is closed")
	ErrTooManyLists   = fmt.Errorf("a viewer may have at most %d lists of devices", maxLists)
	ErrTooManyFleets  = fmt.Errorf("a viewer may have at most %d subscriptions to all devices", maxFleets)
)

// maxLists is how many subscriptions to /topic/devices a viewer may have: each list is put in order anew every second.
const maxLists = 16

// maxFleets is how many subscriptions to the readings of all devices a viewer may have: a message of one is as large as the fleet.
const maxFleets = 4

// taking is how many bytes of messages a viewer is handed at a time, and one message more: what it does not read stays in memory.
const taking = 1 << 20

// Position says up to where somebody has seen a topic, as told by an Update.
type Position struct {
	Epoch  string
	Offset uint64
}

// Update is one message of a subscription.
type Update struct {
	ID          string // of the subscription
	Destination string
	Epoch       string
	Offset      uint64
	Resumed     bool   // the first after a subscription with a position: it goes on from there without a gap
	Missed      int64  // readings missed since the position; 0: none, -1: not known
	Snapshot    bool   // Body tells everything, and what was known before is to be dropped
	Dropped     uint64 // messages that were not made because the viewer did not take them in time
	Body        []byte // JSON, shared with other viewers: it must not be changed
}

// Viewer is one who watches. Its methods are safe for concurrent use, but Take is for one goroutine.
type Viewer struct {
	feed *Feed
	due  chan struct{} // capacity 1

	mu     sync.Mutex
	user   string
	subs   []*subscription
	taken  uint64 // messages
	closed bool
}

// subscription is a viewer's interest in a topic.
type subscription struct {
	// static
	id          string
	destination string
	topic       *topic

	resuming bool // it came with a position
	resumed  bool // from which it can go on

	// guarded by Viewer.mu; only Take changes them once the subscription is known, but for gone
	fresh   bool   // nothing has been taken yet
	number  uint64 // of its last message among those of the viewer; 0: there was none
	since   uint64 // the tick up to which everything was taken
	changes uint64 // of the topic up to then
	gone    bool
}

// Viewer returns a new viewer, to be closed after use.
func (f *Feed) Viewer() *Viewer {
	v := &Viewer{feed: f, due: make(chan struct{}, 1)}
	f.watching.Lock()
	defer f.watching.Unlock()
	f.viewers[v] = struct{}{}
	return v
}

// Is says who watches: /user/queue/commands is about what they have sent. It is called before Subscribe.
func (v *Viewer) Is(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.user = user
}

// C is signalled when there may be something to take, at most once a tick.
func (v *Viewer) C() <-chan struct{} { return v.due }

func (v *Viewer) signal() {
	notify.Signal(v.due)
}

// Subscribe adds a subscription; what it brings, Take returns, the first at once. With a position it goes on from there if it
// can. Errors are ErrDuplicate, ErrTooManyLists, ErrTooManyFleets, ErrClosed, or wrap ErrNoTopic or ErrBadList.
func (v *Viewer) Subscribe(id, destination string, params map[string]string, resume *Position) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if v.index(id) >= 0 {
		return ErrDuplicate
	}
	switch n := v.subscribed(destination); {
	case destination == listDestination && n >= maxLists:
		return ErrTooManyLists
	case destination == fleetDestination && n >= maxFleets:
		return ErrTooManyFleets
	}
	t, err := v.feed.join(v.user, destination, params)
	if err != nil {
		return err
	}
	s := &subscription{id: id, destination: destination, topic: t, fresh: true}
	if resume != nil {
		s.resuming, s.since = true, resume.Offset
		s.resumed = resume.Epoch == v.feed.epoch && t.covers(resume.Offset)
	}
	v.subs = append(v.subs, s)
	v.signal()
	return nil
}

// subscribed is how many subscriptions to a destination there are.
func (v *Viewer) subscribed(destination string) (n int) {
	for _, s := range v.subs {
		if s.destination == destination {
			n++
		}
	}
	return n
}

func (v *Viewer) index(id string) int {
	return slices.IndexFunc(v.subs, func(s *subscription) bool { return s.id == id })
}

// Unsubscribe ends a subscription: a later Take returns nothing of it. It returns ErrNoSubscription if there is none.
func (v *Viewer) Unsubscribe(id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := v.index(id)
	if i < 0 {
		return ErrNoSubscription
	}
	v.subs[i].gone = true
	v.feed.leave(v.subs[i].topic)
	v.subs = slices.Delete(v.subs, i, i+1)
	return nil
}

// Close ends all subscriptions. It may be called again.
func (v *Viewer) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	v.closed = true
	for _, s := range v.subs {
		s.gone = true
		v.feed.leave(s.topic)
	}
	v.subs = nil
	v.feed.watching.Lock()
	defer v.feed.watching.Unlock()
	delete(v.feed.viewers, v)
}

// Take appends to dst what is due: at most one message for each subscription and tick, and at least one a second, be it
// empty. What a viewer does not take in time is told with the next message, in its newest state. When the messages have a
// megabyte together, the others have to wait for the next Take, for which C is signalled at once; the subscriptions that have
// waited longest come first.
func (v *Viewer) Take(dst []Update) []Update {
	cut := v.feed.cut.Load()
	v.mu.Lock()
	subs := make([]*subscription, 0, len(v.subs))
	for _, s := range v.subs {
		if s.due(cut, v.feed.second) {
			subs = append(subs, s)
		}
	}
	slices.SortStableFunc(subs, func(a, b *subscription) int { return cmp.Compare(a.number, b.number) })
	v.mu.Unlock()
	size := 0
	for _, s := range subs {
		if size >= taking {
			v.signal()
			break
		}
		if u, ok := v.take(s); ok {
			dst = append(dst, u)
			size += len(u.Body)
		}
	}
	return dst
}

// take makes the message of a subscription. The viewer is not locked while others may be making the same.
func (v *Viewer) take(s *subscription) (Update, bool) {
	v.mu.Lock()
	gone := s.gone
	v.mu.Unlock()
	if gone { // it costs nothing any more
		return Update{}, false
	}
	m := s.topic.take(s.since, s.fresh && !s.resumed)
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.gone {
		return Update{}, false
	}
	u := Update{
		ID: s.id, Destination: s.destination, Epoch: v.feed.epoch, Offset: m.cut, Snapshot: m.snapshot, Body: m.body,
	}
	switch {
	case !s.fresh:
		u.Dropped = max(m.changes, s.changes+1) - s.changes - 1
	case s.resumed:
		if u.Resumed = !m.snapshot; !u.Resumed { // it could go on a moment ago
			u.Missed = -1
		}
	case s.resuming:
		u.Missed = -1
	}
	v.taken++
	s.fresh, s.number, s.since, s.changes = false, v.taken, m.cut, m.changes
	return u, true
}

// due reports whether there is a message to be made when the tick cut is over.
func (s *subscription) due(cut, second uint64) bool {
	return s.fresh || s.since < cut && (s.topic.changed.Load() > s.since || cut-s.since >= second)
}

func (v *Viewer) wakeIfDue(cut uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		if s.due(cut, v.feed.second) {
			v.signal()
			return
		}
	}
}

// allViewers are the viewers there are.
func (f *Feed) allViewers() []*Viewer {
	f.watching.Lock()
	defer f.watching.Unlock()
	list := make([]*Viewer, 0, len(f.viewers))
	for v := range f.viewers {
		list = append(list, v)
	}
	return list
}
