package hub

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Presence is what the hub knows of a device's connection. Times are the hub's, zero if unknown: presence lives in
// memory and starts empty with the process.
type Presence struct {
	Connected bool
	Since     time.Time     // begin of the present or, if there is none, of the last connection
	LastSeen  time.Time     // when any bytes last came from the device
	LastData  time.Time     // when a DATA message last came from the device
	Address   string        // remote host:port of that connection
	ClockSkew time.Duration // the device's wall clock minus the hub's, as HELLO showed it; 0 for a device without one
	Rivals    [2]string     // hosts whose connections take over from each other; empty: none do
	Takeovers int           // how often, lately
}

// Presence returns what is known of a device.
func (h *Hub) Presence(deviceID string) Presence {
	p := h.sessions.presence(deviceID, h.now(), h.elapsed())
	p.Rivals, p.Takeovers = h.takeoversOf(deviceID)
	return p
}

// Connected returns how many devices are connected.
func (h *Hub) Connected() int { return h.sessions.connected() }

// addTo brings p up to what the session knows, unless p is of a newer session.
func (s *session) addTo(p *Presence, now time.Time, elapsed time.Duration) {
	// The moments are kept on the monotonic clock, and told on the wall clock as it is now.
	moment := func(at int64) time.Time {
		if at == 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(at) - elapsed)
	}
	p.LastSeen = wallclock.Later(p.LastSeen, moment(int64(s.conn.Heard())))
	p.LastData = wallclock.Later(p.LastData, moment(s.dataAt.Load()))
	if since := moment(int64(s.opened)); !since.Before(p.Since) {
		p.Since, p.Address, p.ClockSkew = since, s.address, s.measured.Load().ahead(s.hub.store.Clock().Base())
	}
}
