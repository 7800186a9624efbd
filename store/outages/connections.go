package outages

import "slices"

const maxConnections = 64 // of one device, that are remembered

// connection is one time that a device was connected, ms since 1970.
type connection struct {
	from, to int64 // to 0: it still is, or was when the hub's run ended
}

// DeviceConnected says that a connection of a device has begun.
func (l *Log) DeviceConnected(deviceID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving() == nil {
		return
	}
	h := l.of(deviceID)
	if h.sessions++; h.sessions > 1 {
		return
	}
	h.connections = append(h.connections, connection{from: l.times.Now().UnixMilli()})
	h.connections = slices.Delete(h.connections, 0, max(0, len(h.connections)-maxConnections))
	h.changed = true
}

// DeviceDisconnected says that a connection of a device has ended. It says nothing new when the hub stops.
func (l *Log) DeviceDisconnected(deviceID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.devices[deviceID]
	if h == nil || h.sessions == 0 || l.serving() == nil {
		return
	}
	if h.sessions--; h.sessions == 0 {
		h.disconnected(l.times.Now().UnixMilli())
		h.changed = true
	}
}

// disconnected ends the connection that has not ended, if there is one.
func (h *deviceLog) disconnected(at int64) {
	if n := len(h.connections); n > 0 && h.connections[n-1].to == 0 {
		h.connections[n-1].to = max(h.connections[n-1].from, at)
	}
}

// move says that the clock was set, by so many ms, in the run of the hub that began at since.
func (h *deviceLog) move(since, by int64) {
	for i := range h.connections {
		c := &h.connections[i]
		if c.from < since {
			continue
		}
		if c.from += by; c.to != 0 {
			c.to += by
		}
		h.changed = true
	}
}
