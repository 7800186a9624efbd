package hub

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
)

const (
	rivalSpan   = 10 * time.Minute // without a takeover, and the matter is over
	rivalCount  = 3                // takeovers before anybody is told: a firmware may well connect anew before it disconnects
	rivalsNamed = 3                // devices in the alarm
)

// rivals are the devices whose connections take over from each other.
type rivals struct {
	mu       sync.Mutex
	byDevice map[string]*rivalry
	told     string // the alarm
}

// rivalry is two connections of a device that take over from each other, time and again, though both are alive: most often two
// devices with one token.
type rivalry struct {
	count int
	last  time.Duration // elapsed
	hosts [2]string     // of the older and the newer connection
}

// tookOver is called when a session has ended. It counts if a newer one took over and the device was still there: it
// answered the Close frame. One that comes back after a break of the network does not answer on its old connection.
func (h *Hub) tookOver(s *session) {
	var answered *socket.Closed
	if c := s.out.closing; c == nil || c.code != device.CloseReplaced || !errors.As(s.left, &answered) {
		return
	}
	newer := h.registry.presence(s.device, h.now(), h.elapsed()).Address
	h.rivals.mu.Lock()
	defer h.rivals.mu.Unlock()
	r := h.rivals.byDevice[s.device]
	if r == nil {
		r = &rivalry{}
		if h.rivals.byDevice == nil {
			h.rivals.byDevice = map[string]*rivalry{}
		}
		h.rivals.byDevice[s.device] = r
	}
	r.count, r.last, r.hosts = r.count+1, h.elapsed(), [2]string{hostOf(s.address), hostOf(newer)}
	slices.Sort(r.hosts[:]) // or every takeover would be news
	h.tellRivals()
}

// endRivals forgets what has not happened for a while.
func (h *Hub) endRivals(now time.Duration) {
	h.rivals.mu.Lock()
	defer h.rivals.mu.Unlock()
	maps.DeleteFunc(h.rivals.byDevice, func(_ string, r *rivalry) bool { return now-r.last > rivalSpan })
	h.tellRivals()
}

// tellRivals brings the alarm up to date. rivals.mu is held.
func (h *Hub) tellRivals() {
	var named []string
	more := 0
	for _, id := range slices.Sorted(maps.Keys(h.rivals.byDevice)) {
		switch r := h.rivals.byDevice[id]; {
		case r.count < rivalCount:
		case len(named) == rivalsNamed:
			more++
		default:
			named = append(named, fmt.Sprintf("%s (%s)", id, strings.Join(slices.Compact(slices.Clone(r.hosts[:])), " and ")))
		}
	}
	text := ""
	if len(named) > 0 {
		text = "connections of one device take over from each other, so two devices seem to use one token: " + strings.Join(named, ", ")
		if more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		text += "; register each with a name of its own, or rotate the token"
	}
	if text != h.rivals.told {
		h.rivals.told = text
		h.store.Alarms.Set("rivals", text)
	}
}

// rivalsOf returns from where connections of a device take over from each other, and how often they did; 0 if they don't.
func (h *Hub) rivalsOf(id string) (hosts [2]string, takeovers int) {
	h.rivals.mu.Lock()
	defer h.rivals.mu.Unlock()
	if r := h.rivals.byDevice[id]; r != nil && r.count >= rivalCount {
		return r.hosts, r.count
	}
	return hosts, 0
}
