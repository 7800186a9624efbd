package dashboard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Why there is no place for a viewer.
var (
	errRoomFull     = errors.New("as many viewers are connected as the hub allows")
	errTooManyOfOne = errors.New("as many viewers of this account or address are connected as the hub allows")
	errRoomClosed   = errors.New(hubStops)
)

const hubStops = "the hub stops"

// roomLimits bounds how many viewers there are, on /v1/live and /v1/events together.
type roomLimits struct {
	viewers             int
	perAccount          int
	strangers           int // who have not said who they are: they must not take the viewers' places
	strangersPerAddress int
}

var defaultRoomLimits = roomLimits{viewers: 500, perAccount: 50, strangers: 64, strangersPerAddress: 8}

// viewer is a connection in the room.
type viewer interface {
	// look checks whether it may stay. It does not wait for anything.
	look()
	// sendAway begins its end. It does not wait for anything.
	sendAway(code device.CloseCode, why string)
}

// room knows who watches.
type room struct {
	// static
	limits roomLimits

	running sync.WaitGroup // viewers; Add only under mu while not closed

	// guarded by mu
	mu      sync.Mutex
	closed  bool
	viewers map[viewer]*place
	counts  map[bool]int   // places taken, by whether they are strangers'
	of      map[string]int // the same, by account or address
	entered uint64
}

// place is room for one viewer.
type place struct {
	room *room

	// guarded by room.mu
	stranger bool
	of       string // account, or a stranger's address
	number   uint64 // in the order in which places were taken
	viewer   viewer // nil: not there yet, or gone
	lost     bool   // given to another stranger
}

func newRoom(l roomLimits) *room {
	return &room{limits: l, viewers: map[viewer]*place{}, counts: map[bool]int{}, of: map[string]int{}}
}

// accountOf is what an identity counts for. A user and an API key may have the same name.
func accountOf(id store.Identity) string { return id.Via + " " + id.Name }

// enter takes a place for somebody known.
func (r *room) enter(account string) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(account, false)
}

// enterStranger takes a place for somebody who has yet to say who it is. When all are taken, the oldest stranger of the address with
// the most of them is sent away instead of refusing the newcomer, if that is fairer.
func (r *room) enterStranger(address string) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts[true] >= r.limits.strangers {
		r.makeRoom(address)
	}
	return r.take(address, true)
}

// makeRoom is called with mu held.
func (r *room) makeRoom(address string) {
	var oldest *place
	for _, p := range r.viewers {
		if !p.stranger || p.lost || r.of[p.of] <= r.of[address]+1 {
			continue
		}
		if oldest == nil || r.of[p.of] > r.of[oldest.of] || r.of[p.of] == r.of[oldest.of] && p.number < oldest.number {
			oldest = p
		}
	}
	if oldest != nil {
		oldest.lost = true
		r.giveBack(oldest)
		oldest.viewer.sendAway(device.CloseTryLater, errRoomFull.Error())
	}
}

func (r *room) take(of string, stranger bool) (*place, error) {
	most, mostOfOne := r.limits.viewers, r.limits.perAccount
	if stranger {
		most, mostOfOne = r.limits.strangers, r.limits.strangersPerAddress
	}
	switch {
	case r.closed:
		return nil, errRoomClosed
	case r.counts[stranger] >= most:
		return nil, errRoomFull
	case r.of[of] >= mostOfOne:
		return nil, errTooManyOfOne
	}
	r.counts[stranger]++
	r.of[of]++
	r.entered++
	return &place{room: r, stranger: stranger, of: of, number: r.entered}, nil
}

// giveBack is called with mu held.
func (r *room) giveBack(p *place) {
	r.counts[p.stranger]--
	if r.of[p.of]--; r.of[p.of] == 0 {
		delete(r.of, p.of)
	}
}

// settle makes a stranger's place one of an account.
func (p *place) settle(account string) error {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.lost {
		return errRoomFull
	}
	known, err := r.take(account, false)
	if err != nil {
		return err
	}
	r.giveBack(p)
	p.stranger, p.of = known.stranger, known.of
	return nil
}

// add lets the viewer in for whom the place was taken, unless the room was closed meanwhile.
func (r *room) add(p *place, v viewer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	p.viewer = v
	r.viewers[v] = p
	r.running.Add(1)
	return true
}

// leave gives the place back, with or without its viewer having been added.
func (p *place) leave() {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.lost {
		r.giveBack(p)
	}
	if p.viewer != nil {
		delete(r.viewers, p.viewer)
		p.viewer = nil
		r.running.Done()
	}
}

func (r *room) present() []viewer {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]viewer, 0, len(r.viewers))
	for v := range r.viewers {
		list = append(list, v)
	}
	return list
}

// run looks after the viewers, and does what there is to do besides, until ctx ends, then sends them away and waits until they
// are gone.
func (r *room) run(ctx context.Context, every time.Duration, besides func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			for _, v := range r.present() {
				v.look()
			}
			besides()
		case <-ctx.Done():
			r.mu.Lock()
			r.closed = true
			r.mu.Unlock()
			for _, v := range r.present() {
				v.sendAway(device.CloseGoingAway, hubStops)
			}
			r.running.Wait()
			return
		}
	}
}
