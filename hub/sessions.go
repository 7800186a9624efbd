package hub

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Why a connection gets no place; the texts complete "The hub …".
var (
	errFull        = errors.New("has as many connections as it allows")
	errStopping    = errors.New("is stopping")
	errAddressFull = errors.New("has as many connections of this address as it allows")
)

// sessions knows who is connected. A device has one current session; an older one that a newer has replaced may still be
// open for a moment, and its end must not touch what belongs to the newer.
type sessions struct {
	limits  Limits
	running sync.WaitGroup // the read loops; Add only under mu while not stopping

	mu       sync.Mutex
	stopping bool
	entered  uint64               // sessions so far
	places   int                  // taken
	networks map[netip.Prefix]int // places taken, by what addressOf returns
	devices  map[string]*entry
	open     map[*session]struct{} // replaced ones too
}

// entry is one device that has been connected since the hub started.
type entry struct {
	current *session // nil: not connected
	last    Presence // of the sessions before
}

func newSessions(limits Limits) *sessions {
	return &sessions{
		limits:   limits,
		networks: map[netip.Prefix]int{},
		devices:  map[string]*entry{},
		open:     map[*session]struct{}{},
	}
}

// take takes a place for a connection of a device, which release gives back. A device that is connected already is not
// turned away for lack of room: its old connection makes room.
func (r *sessions) take(id string, network netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	places, ofNetwork := r.places, r.networks[network]
	if e := r.devices[id]; e != nil && e.current != nil {
		places--
		if e.current.network == network {
			ofNetwork--
		}
	}
	switch {
	case r.stopping:
		return errStopping
	case places >= r.limits.Connections:
		return errFull
	case network.IsValid() && ofNetwork >= r.limits.ConnectionsPerAddress:
		return errAddressFull
	}
	r.places++
	r.networks[network]++
	return nil
}

// release gives a place back.
func (r *sessions) release(network netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseLocked(network)
}

func (r *sessions) releaseLocked(network netip.Prefix) {
	r.places--
	if r.networks[network]--; r.networks[network] == 0 {
		delete(r.networks, network)
	}
}

// enter makes s the current session of its device and closes the one before. It returns false if the hub is stopping;
// otherwise s must be run.
func (r *sessions) enter(s *session) bool {
	r.mu.Lock()
	if r.stopping {
		r.mu.Unlock()
		return false
	}
	e := r.devices[s.device]
	if e == nil {
		e = &entry{}
		r.devices[s.device] = e
	}
	old := e.current
	e.current = s
	r.entered++
	s.number = r.entered
	r.open[s] = struct{}{}
	r.running.Add(1)
	r.mu.Unlock()
	if old != nil {
		old.close(device.CloseReplaced, "a newer connection of this device took over")
	}
	return true
}

// exit takes s out, gives its place back, and keeps what is worth knowing about it.
func (r *sessions) exit(s *session, now time.Time, elapsed time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
	r.releaseLocked(s.network)
	if e := r.devices[s.device]; e != nil {
		s.addTo(&e.last, now, elapsed)
		if e.current == s {
			e.current = nil
		}
	}
}

// find returns the current session of a device, nil if there is none.
func (r *sessions) find(id string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.devices[id]; e != nil {
		return e.current
	}
	return nil
}

// forget drops what is known of a device that is no longer registered.
func (r *sessions) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.devices, id)
}

// stop lets nobody in any more.
func (r *sessions) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
}

// list returns the sessions that are open.
func (r *sessions) list() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.open))
	for s := range r.open {
		list = append(list, s)
	}
	return list
}

// connected returns how many devices have a session.
func (r *sessions) connected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.devices {
		if e.current != nil {
			n++
		}
	}
	return n
}

// presence returns what is known of a device.
func (r *sessions) presence(id string, now time.Time, elapsed time.Duration) Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.devices[id]
	if e == nil {
		return Presence{}
	}
	p := e.last
	if e.current != nil {
		e.current.addTo(&p, now, elapsed)
		p.Connected = true
	}
	return p
}
