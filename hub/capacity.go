package hub

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// fullFor is how long the alarm stays after the last device that found no room.
const fullFor = 5 * time.Minute

// capacityAlarms says alarms that devices find no room.
type capacityAlarms struct {
	mu   sync.Mutex
	last map[error]time.Duration // elapsed when it last happened, by errFull and errAddressFull
}

// turnedAway notes that a device of a network was turned away.
func (h *Hub) turnedAway(why error, network netip.Prefix) {
	var text string
	switch {
	case errors.Is(why, errFull):
		text = fmt.Sprintf("devices are turned away with 503: %d are connected, as many as connections in [limits] allows; raise it", h.limits.Connections)
	case errors.Is(why, errAddressFull):
		address := network.String()
		if network.IsSingleIP() {
			address = network.Addr().String()
		}
		text = fmt.Sprintf("devices behind %s are turned away with 429: it has %d connections, as many as connections_per_address in [limits] allows; raise it",
			address, h.limits.ConnectionsPerAddress)
	default:
		return
	}
	h.capacity.mu.Lock()
	defer h.capacity.mu.Unlock()
	if _, was := h.capacity.last[why]; !was { // it keeps the first address: two in turn would be news without end
		h.store.Alarms.Set("limits: "+why.Error(), text)
	}
	if h.capacity.last == nil {
		h.capacity.last = map[error]time.Duration{}
	}
	h.capacity.last[why] = h.elapsed()
}

// endCapacityAlarms ends the alarms about what has not happened for a while.
func (h *Hub) endCapacityAlarms(now time.Duration) {
	h.capacity.mu.Lock()
	defer h.capacity.mu.Unlock()
	for why, last := range h.capacity.last {
		if now-last > fullFor {
			delete(h.capacity.last, why)
			h.store.Alarms.Set("limits: "+why.Error(), "")
		}
	}
}
