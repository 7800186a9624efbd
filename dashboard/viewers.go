package dashboard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// Why there is no place for a viewer.
var (
	errTooManyViewers = errors.New("as many viewers are connected as the hub allows")
	errTooManyOfOne   = errors.New("as many viewers of this account or address are connected as the hub allows")
	errViewersClosed  = errors.New(hubStops)
)

const hubStops = "the hub stops"

// viewerLimits bounds how many viewers there are, on /v1/live and /v1/events together.
type viewerLimits struct {
	viewers             int
	perAccount          int
	anonymous           int // who have not said who they are: they must not take the viewers' places
	anonymousPerAddress int
}

var defaultViewerLimits = viewerLimits{viewers: 500, perAccount: 50, anonymous: 64, anonymousPerAddress: 8}

// viewer is a connection of one who watches.
type viewer interface {
	// look checks whether it may stay. It does not wait for anything.
	look()
	// sendAway begins its end. It does not wait for anything.
	sendAway(code device.CloseCode, why string)
}

// viewers are those who watch.
type viewers struct {
	// static
	limits viewerLimits

	running sync.WaitGroup // viewers; Add only under mu while not closed

	// guarded by mu
	mu        sync.Mutex
	closed    bool
	connected map[viewer]*place
	counts    map[bool]int   // places taken, by whether they are of anonymous viewers
	of        map[string]int // the same, by account or address
	entered   uint64
}

// place is one viewer's place.
type place struct {
	viewers *viewers

	// guarded by viewers.mu
	anonymous bool
	of        string // account, or the address of an anonymous viewer
	number    uint64 // in the order in which places were taken
	viewer    viewer // nil: not there yet, or gone
	lost      bool   // given to another anonymous viewer
}

func newViewers(l viewerLimits) *viewers {
	return &viewers{limits: l, connected: map[viewer]*place{}, counts: map[bool]int{}, of: map[string]int{}}
}

// accountOf is what an identity counts for. A user and an API key may have the same name.
func accountOf(id accounts.Identity) string { return id.Via + " " + id.Name }

// enter takes a place for somebody known.
func (r *viewers) enter(account string) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(account, false)
}

// enterAnonymous takes a place for somebody who has yet to say who it is. When all are taken, the oldest anonymous viewer of the address with
// the most of them is sent away instead of refusing the newcomer, if that is fairer.
func (r *viewers) enterAnonymous(address string) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts[true] >= r.limits.anonymous {
		r.makeRoom(address)
	}
	return r.take(address, true)
}

// makeRoom is called with mu held.
func (r *viewers) makeRoom(address string) {
	var oldest *place
	for _, p := range r.connected {
		if !p.anonymous || p.lost || r.of[p.of] <= r.of[address]+1 {
			continue
		}
		if oldest == nil || r.of[p.of] > r.of[oldest.of] || r.of[p.of] == r.of[oldest.of] && p.number < oldest.number {
			oldest = p
		}
	}
	if oldest != nil {
		oldest.lost = true
		r.giveBack(oldest)
		oldest.viewer.sendAway(device.CloseTryLater, errTooManyViewers.Error())
	}
}

func (r *viewers) take(of string, anonymous bool) (*place, error) {
	most, mostOfOne := r.limits.viewers, r.limits.perAccount
	if anonymous {
		most, mostOfOne = r.limits.anonymous, r.limits.anonymousPerAddress
	}
	switch {
	case r.closed:
		return nil, errViewersClosed
	case r.counts[anonymous] >= most:
		return nil, errTooManyViewers
	case r.of[of] >= mostOfOne:
		return nil, errTooManyOfOne
	}
	r.counts[anonymous]++
	r.of[of]++
	r.entered++
	return &place{viewers: r, anonymous: anonymous, of: of, number: r.entered}, nil
}

// giveBack is called with mu held.
func (r *viewers) giveBack(p *place) {
	r.counts[p.anonymous]--
	if r.of[p.of]--; r.of[p.of] == 0 {
		delete(r.of, p.of)
	}
}

// settle makes an anonymous viewer's place one of an account.
func (p *place) settle(account string) error {
	r := p.viewers
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.lost {
		return errTooManyViewers
	}
	known, err := r.take(account, false)
	if err != nil {
		return err
	}
	r.giveBack(p)
	p.anonymous, p.of = known.anonymous, known.of
	return nil
}

// add lets the viewer in for whom the place was taken, unless the hub stops meanwhile.
func (r *viewers) add(p *place, v viewer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	p.viewer = v
	r.connected[v] = p
	r.running.Add(1)
	return true
}

// leave gives the place back, with or without its viewer having been added.
func (p *place) leave() {
	r := p.viewers
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.lost {
		r.giveBack(p)
	}
	if p.viewer != nil {
		delete(r.connected, p.viewer)
		p.viewer = nil
		r.running.Done()
	}
}

func (r *viewers) present() []viewer {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]viewer, 0, len(r.connected))
	for v := range r.connected {
		list = append(list, v)
	}
	return list
}

// run looks after the viewers, and does what there is to do besides, until ctx ends, then sends them away and waits until they
// are gone.
func (r *viewers) run(ctx context.Context, every time.Duration, besides func()) {
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
