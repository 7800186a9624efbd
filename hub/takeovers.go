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
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
)

const (
	takeoverSpan   = 10 * time.Minute // without a takeover, and the matter is over
	takeoverCount  = 3                // takeovers before anybody is told: a firmware may well connect anew before it disconnects
	takeoversNamed = 3                // devices in the alarm
)

// takeovers are the devices whose connections take over from each other.
type takeovers struct {
	mu       sync.Mutex
	byDevice map[string]*takeover
	told     string // the alarm
}

// takeover is two connections of a device that take over from each other, time and again, though both are alive: most often two
// devices with one token.
type takeover struct {
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
	newer := h.sessions.presence(s.device, h.now(), h.elapsed()).Address
	h.takeovers.mu.Lock()
	defer h.takeovers.mu.Unlock()
	r := h.takeovers.byDevice[s.device]
	if r == nil {
		r = &takeover{}
		if h.takeovers.byDevice == nil {
			h.takeovers.byDevice = map[string]*takeover{}
		}
		h.takeovers.byDevice[s.device] = r
	}
	r.count, r.last, r.hosts = r.count+1, h.elapsed(), [2]string{live.HostOf(s.address), live.HostOf(newer)}
	slices.Sort(r.hosts[:]) // or every takeover would be news
	h.reportTakeovers()
}

// endTakeovers forgets what has not happened for a while.
func (h *Hub) endTakeovers(now time.Duration) {
	h.takeovers.mu.Lock()
	defer h.takeovers.mu.Unlock()
	maps.DeleteFunc(h.takeovers.byDevice, func(_ string, r *takeover) bool { return now-r.last > takeoverSpan })
	h.reportTakeovers()
}

// reportTakeovers brings the alarm up to date. takeovers.mu is held.
func (h *Hub) reportTakeovers() {
	var named []string
	more := 0
	for _, id := range slices.Sorted(maps.Keys(h.takeovers.byDevice)) {
		switch r := h.takeovers.byDevice[id]; {
		case r.count < takeoverCount:
		case len(named) == takeoversNamed:
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
	if text != h.takeovers.told {
		h.takeovers.told = text
		h.store.Alarms.Set("takeovers", text)
	}
}

// takeoversOf returns from where connections of a device take over from each other, and how often they did; 0 if they don't.
func (h *Hub) takeoversOf(id string) (hosts [2]string, takeovers int) {
	h.takeovers.mu.Lock()
	defer h.takeovers.mu.Unlock()
	if r := h.takeovers.byDevice[id]; r != nil && r.count >= takeoverCount {
		return r.hosts, r.count
	}
	return hosts, 0
}
