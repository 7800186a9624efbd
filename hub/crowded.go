package hub

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// crowdedFor is how long the alarm stays after the last device that found no room.
const crowdedFor = 5 * time.Minute

// crowded raises alarms that devices find no room.
type crowded struct {
	mu   sync.Mutex
	last map[error]time.Duration // elapsed when it last happened, by errFull and errAddressFull
}

// noRoom notes that a device of a network was turned away.
func (h *Hub) noRoom(why error, network netip.Prefix) {
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
	h.crowded.mu.Lock()
	defer h.crowded.mu.Unlock()
	if _, was := h.crowded.last[why]; !was { // it keeps the first address: two in turn would be news without end
		h.store.Alarms.Set("limits: "+why.Error(), text)
	}
	if h.crowded.last == nil {
		h.crowded.last = map[error]time.Duration{}
	}
	h.crowded.last[why] = h.elapsed()
}

// endNoRoom ends the alarms about what has not happened for a while.
func (h *Hub) endNoRoom(now time.Duration) {
	h.crowded.mu.Lock()
	defer h.crowded.mu.Unlock()
	for why, last := range h.crowded.last {
		if now-last > crowdedFor {
			delete(h.crowded.last, why)
			h.store.Alarms.Set("limits: "+why.Error(), "")
		}
	}
}
