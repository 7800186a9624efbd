package hub

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Why a connection gets no place; the texts complete "The hub …".
var (
	errFull        = errors.New("has as many connections as it allows")
	errBusy        = errors.New("is busy with other devices that connect")
	errStopping    = errors.New("is stopping")
	errAddressFull = errors.New("has as many connections of this address as it allows")
)

// registry knows who is connected. A device has one current session; an older one that a newer has replaced may still be
// open for a moment, and its end must not touch what belongs to the newer.
type registry struct {
	mu        sync.Mutex
	stopping  bool
	places    int                  // taken
	addresses map[netip.Prefix]int // places taken
	devices   map[string]*entry
	open      map[*session]struct{} // replaced ones too
}

// entry is one device that has been connected since the hub started.
type entry struct {
	current *session // nil: not connected
	last    Presence // of the sessions before
}

func newRegistry() registry {
	return registry{
		addresses: map[netip.Prefix]int{},
		devices:   map[string]*entry{},
		open:      map[*session]struct{}{},
	}
}

// take takes a place for a connection of a device, which release gives back. A device that is connected already is not
// turned away for lack of room: its old connection makes room.
func (h *Hub) take(id string, address netip.Prefix) error {
	r := &h.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	places, ofAddress := r.places, r.addresses[address]
	if e := r.devices[id]; e != nil && e.current != nil {
		places--
		if e.current.network == address {
			ofAddress--
		}
	}
	switch {
	case r.stopping:
		return errStopping
	case places >= h.limits.Connections:
		return errFull
	case address.IsValid() && ofAddress >= h.limits.ConnectionsPerAddress:
		return errAddressFull
	}
	r.places++
	r.addresses[address]++
	return nil
}

// release gives a place back.
func (r *registry) release(address netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places--
	if r.addresses[address]--; r.addresses[address] == 0 {
		delete(r.addresses, address)
	}
}

// enter makes s the current session of its device and closes the one before. It returns false if the hub is stopping.
func (h *Hub) enter(s *session) bool {
	r := &h.registry
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
	r.open[s] = struct{}{}
	h.running.Add(1)
	r.mu.Unlock()
	if old != nil {
		old.close(device.CloseReplaced, "a newer connection of this device took over")
	}
	return true
}

// exit takes s out, and keeps what is worth knowing about it.
func (h *Hub) exit(s *session) {
	r := &h.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
	if e := r.devices[s.device]; e != nil {
		s.addTo(&e.last, h.now(), h.elapsed())
		if e.current == s {
			e.current = nil
		}
	}
}

// find returns the current session of a device. If the device is no longer registered, it forgets its presence.
func (r *registry) find(id string, gone bool) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.devices[id]
	if e == nil {
		return nil
	}
	if gone {
		delete(r.devices, id)
	}
	return e.current
}

// stop lets nobody in any more and returns the sessions that are open.
func (r *registry) stop() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	return r.sessionsLocked()
}

// sessions returns the sessions that are open.
func (r *registry) sessions() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessionsLocked()
}

func (r *registry) sessionsLocked() []*session {
	list := make([]*session, 0, len(r.open))
	for s := range r.open {
		list = append(list, s)
	}
	return list
}
