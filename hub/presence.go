package hub

import "time"

// Presence is what the hub knows of a device's connection. Times are the hub's, zero if unknown: presence lives in
// memory and starts empty with the process.
type Presence struct {
	Connected bool
	Since     time.Time     // begin of the present or, if there is none, of the last connection
	LastSeen  time.Time     // when any bytes last came from the device
	LastData  time.Time     // when a DATA message last came from the device
	Address   string        // remote host:port of that connection
	ClockSkew time.Duration // the device's wall clock minus the hub's at HELLO; 0 for a device without one
}

// Presence returns what is known of a device.
func (h *Hub) Presence(deviceID string) Presence { return Presence{} }

// Connected returns how many devices are connected.
func (h *Hub) Connected() int { return 0 }
