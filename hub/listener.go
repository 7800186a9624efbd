package hub

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// tlsTurn is how long a TLS handshake keeps its turn at most. The computing takes a millisecond; a peer that stalls
	// in the middle must not keep the others waiting.
	tlsTurn = time.Second

	// politeConnections is how many connections above ConnectionsPerAddress are let in, to be told 429.
	politeConnections = 8
)

// gate is the listener: it bounds what connections cost before anybody knows who they are.
type gate struct {
	// static
	net.Listener
	limits   Limits
	counters *counters
	turns    chan struct{} // one for each TLS handshake being computed

	// guarded by mu
	mu        sync.Mutex
	pending   int                  // connections that are not device connections
	addresses map[netip.Prefix]int // all connections
}

func newGate(ln net.Listener, limits Limits, c *counters) *gate {
	return &gate{
		Listener: ln, limits: limits, counters: c,
		turns:     make(chan struct{}, limits.TLSHandshakes),
		addresses: map[netip.Prefix]int{},
	}
}

// Accept returns the next connection that is within the limits. The others are closed without a word: an answer would cost
// a TLS handshake, which is what the limit is there to save.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &gatedConn{Conn: conn, gate: g, address: addressOf(conn.RemoteAddr().String())}
		if !g.enter(c) {
			g.counters.dropped.Add(1)
			_ = conn.Close()
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			// The default would wake the radio of a sleeping device every 15 s.
			_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: g.limits.Idle, Interval: 15 * time.Second, Count: 3})
		}
		return c, nil
	}
}

func (g *gate) enter(c *gatedConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending >= g.limits.PendingConnections ||
		c.address.IsValid() && g.addresses[c.address] >= g.limits.ConnectionsPerAddress+politeConnections {
		return false
	}
	g.pending++
	g.addresses[c.address]++
	return true
}

// takeTurns returns the configuration with TLS handshakes waiting for their turn once the client's first message is there.
func (g *gate) takeTurns(config *tls.Config) *tls.Config {
	config = config.Clone()
	next := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		ctx, cancel := context.WithTimeout(hello.Context(), g.limits.HandshakeTimeout)
		defer cancel()
		select {
		case g.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		release := sync.OnceFunc(func() { <-g.turns })
		timer := time.AfterFunc(tlsTurn, release)
		context.AfterFunc(hello.Context(), func() { // it ends with the handshake
			timer.Stop()
			release()
		})
		if next != nil {
			return next(hello)
		}
		return nil, nil
	}
	return config
}

// gatedConn is a connection that the gate counts until it is closed.
type gatedConn struct {
	// static
	net.Conn
	gate    *gate
	address netip.Prefix

	// guarded by gate.mu
	admitted bool // it is a device connection
	closed   bool
}

// admit takes the connection out of the pending ones.
func (c *gatedConn) admit() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if !c.admitted && !c.closed {
		c.admitted = true
		c.gate.pending--
	}
}

// Close closes the connection and gives its place to the next.
func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	if !c.closed {
		c.closed = true
		if !c.admitted {
			c.gate.pending--
		}
		if c.gate.addresses[c.address]--; c.gate.addresses[c.address] == 0 {
			delete(c.gate.addresses, c.address)
		}
	}
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// SetLinger is net.TCPConn's, where there is one below.
func (c *gatedConn) SetLinger(sec int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(sec)
	}
	return nil
}

// addressOf returns what the limits take for one peer: an IPv4 address, or an IPv6 /64 network, all of which one customer
// usually holds. It is invalid for what is not host:port.
func addressOf(hostPort string) netip.Prefix {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // 32 and 64 fit
	return prefix
}
