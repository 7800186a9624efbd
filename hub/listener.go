package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
)

// gatedConn is a connection that has come through the gate.
type gatedConn struct {
	// static
	net.Conn
	gate *gate
	peer *peer

	admitted atomic.Bool  // it is known whose it is, and it counts for other limits
	since    atomic.Int64 // elapsed ns since when the peer keeps the hub waiting, moved back by kept; 0: it does not
	kept     atomic.Int64 // ns for which it has kept the hub waiting since the TLS handshake
	turn     atomic.Bool  // it has the turn to compute a TLS handshake

	// guarded by gate.mu
	place int // index of gate.places; -1: it has none
}

// takeTurns returns the configuration with TLS handshakes waiting for their turn once the client's first message is there.
// Other than a rate, that uses all of a fast machine and never overloads a slow one.
func (g *gate) takeTurns(config *tls.Config) *tls.Config {
	config = config.Clone()
	next := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		ctx, cancel := context.WithTimeout(hello.Context(), g.limits.HandshakeTimeout)
		defer cancel()
		c := hello.Conn.(*gatedConn)
		c.since.Store(0)
		select {
		case g.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		c.turn.Store(true)
		context.AfterFunc(hello.Context(), c.endTurn) // it ends with the handshake
		if next != nil {
			return next(hello)
		}
		return nil, nil
	}
	return config
}

// endTurn lets the next one compute, if the connection has the turn.
func (c *gatedConn) endTurn() {
	if c.turn.CompareAndSwap(true, false) {
		<-c.gate.turns
		c.awaited()
	}
}

// awaited notes that the hub begins to wait for the peer.
func (c *gatedConn) awaited() {
	c.kept.Store(0)
	c.since.Store(int64(max(c.gate.elapsed(), 1)))
}

// hubsTurn notes that the hub has something to do for the peer.
func (c *gatedConn) hubsTurn() {
	if since := c.since.Swap(0); since != 0 {
		c.kept.Store(int64(c.gate.elapsed()) - since)
	}
}

// peersTurn notes that the hub waits for the peer again. All its waits are added up, or a peer would keep its place for ever
// with a request now and then.
func (c *gatedConn) peersTurn() {
	if c.since.Load() == 0 {
		c.since.Store(max(int64(c.gate.elapsed())-c.kept.Load(), 1))
	}
}

// Read ends the turn: the hub has computed its part of the handshake, and a peer that stalls now holds nobody up.
func (c *gatedConn) Read(b []byte) (int, error) {
	if c.turn.Load() {
		c.endTurn()
	}
	return c.Conn.Read(b)
}

// Write notes since when a peer does not read the answer to its request.
func (c *gatedConn) Write(b []byte) (int, error) {
	if c.admitted.Load() || c.since.Load() != 0 {
		return c.Conn.Write(b)
	}
	c.peersTurn()
	defer c.hubsTurn()
	return c.Conn.Write(b)
}

// admit gives the connection's place to the next one.
func (c *gatedConn) admit() {
	c.admitted.Store(true)
	c.gate.free(c)
}

// Close closes the connection and gives its place to the next one.
func (c *gatedConn) Close() error {
	c.gate.free(c)
	return c.Conn.Close()
}

// SetLinger is net.TCPConn's, where there is one below.
func (c *gatedConn) SetLinger(sec int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(sec)
	}
	return nil
}

// gatedOf returns the connection of a request, nil if the request did not come through the gate.
func gatedOf(r *http.Request) *gatedConn {
	c, _ := r.Context().Value(connKey{}).(*gatedConn)
	return c
}

// answering notes that the hub works on a request, from when it is there to the end of its body, until next returns. Before
// and after that, the peer keeps the hub waiting.
func answering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := gatedOf(r)
		if c == nil {
			next.ServeHTTP(w, r)
			return
		}
		defer c.peersTurn()
		if r.ContentLength == 0 {
			c.hubsTurn()
		} else {
			r.Body = &arriving{r.Body, c}
		}
		next.ServeHTTP(w, r)
	})
}

// arriving is the body of a request.
type arriving struct {
	io.ReadCloser
	conn *gatedConn
}

func (b *arriving) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.conn.hubsTurn()
	}
	return n, err
}

// passing reports whether Accept may succeed the next time.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
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
