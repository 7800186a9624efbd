package hub

import (
	"math"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Limits bounds what peers may cost the hub. A zero field means the default that its comment names.
type Limits struct {
	// Connections is how many device connections may be open at a time. More are answered 503. Default 10,000.
	Connections int

	// ConnectionsPerAddress is how many device connections one IPv4 address, or one IPv6 /64 network, may hold.
	// More are answered 429. Default 10,000: a whole fleet may be behind one router or proxy.
	ConnectionsPerAddress int

	// PendingConnections is how many connections are served that are not device connections (yet): in the TLS
	// handshake, sending their headers, or idle between two requests. More wait, and some that keep the hub waiting
	// may be dropped for them. When half of the places are taken, an address gets no more than a sixteenth of them.
	// Default 512.
	PendingConnections int

	// TLSHandshakes is how many TLS handshakes are computed at a time; the next ones wait their turn. It is
	// what keeps a fleet that returns from taking all of the processor. Default 4.
	TLSHandshakes int

	// HandshakeTimeout is the time for the TLS handshake, and again for the request's headers, and the longest time
	// between two requests on one connection. Default 10 s.
	HandshakeTimeout time.Duration

	// ConnectsPerDevice is how many times a second one device may connect, after a first burst of 20; a newer
	// connection always replaces the older. More are answered 429. Default 0.5.
	ConnectsPerDevice float64

	// FailuresPerAddress is how many failed authentications a second one address gets answered with 401 or 403,
	// after a first burst of 10. More are answered 429. A valid token is never refused for it. Default 0.2.
	FailuresPerAddress float64

	// FramesPerSecond is how many DATA messages a second the hub reads from one device, after a first burst of
	// FrameBurst. A faster device is read more slowly: nothing is lost. Defaults 500 and 2,000.
	FramesPerSecond float64
	FrameBurst      int

	// ControlsPerSecond is how many control messages, pings and pongs a second one device may send, after a
	// first burst of ten and five times as many. More close the connection with 1008. Default 20.
	ControlsPerSecond float64

	// WindowFrames and WindowBytes are what WELCOME grants: DATA messages that may be unacknowledged.
	// Defaults 256 frames and 64 KiB.
	WindowFrames int
	WindowBytes  int

	// Idle is how long a device may be silent before it is closed with 4003. Default 60 s.
	Idle time.Duration

	// WriteTimeout is how long one write may wait for a device that does not read before it is cut. Default 10 s.
	WriteTimeout time.Duration
}

// DefaultLimits returns the limits that apply where nothing else is said.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

// withDefaults fills the zero fields, and keeps a window that no message could ever pass from being settled.
func (l Limits) withDefaults() Limits {
	setDefault(&l.Connections, 10_000)
	setDefault(&l.ConnectionsPerAddress, 10_000)
	setDefault(&l.PendingConnections, 512)
	setDefault(&l.TLSHandshakes, 4)
	setDefault(&l.HandshakeTimeout, 10*time.Second)
	setDefault(&l.ConnectsPerDevice, 0.5)
	setDefault(&l.FailuresPerAddress, 0.2)
	setDefault(&l.FramesPerSecond, 500)
	setDefault(&l.FrameBurst, 2000)
	setDefault(&l.ControlsPerSecond, 20)
	setDefault(&l.WindowFrames, 256)
	setDefault(&l.WindowBytes, 64<<10)
	setDefault(&l.Idle, time.Minute)
	setDefault(&l.WriteTimeout, 10*time.Second)
	l.WindowFrames = min(l.WindowFrames, math.MaxInt32)
	l.WindowBytes = min(max(l.WindowBytes, device.MaxMessage), math.MaxInt32)
	return l
}

// controlBurst is how many control messages may come at once.
func (l *Limits) controlBurst() int { return 10 + int(5*l.ControlsPerSecond) }

func setDefault[T int | float64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
