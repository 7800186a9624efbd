package hub

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// mostWaiting is how many accepted connections may wait to be served: about 4 MiB of them.
const mostWaiting = 4096

// gate is the listener: it bounds what connections cost before anybody knows whose they are.
//
// A connection is accepted at once and then waits, which costs a socket and a kilobyte. At most PendingConnections of them
// are served at a time, that is, given a goroutine and memory to show by TLS handshake and request whose they are.
// The address that has the fewest places comes first, and among equals they take turns. When half of the places are taken, an
// address gets no more than its share of them. And while somebody waits who can't be served, peers that have kept the hub
// waiting for longer than patience are dropped, those of the address with the most places first.
//
// So peers that say nothing keep nobody out, and a whole fleet that returns through one address comes in as fast as the hub
// computes TLS handshakes: nobody is sent away to come back later, after a handshake for nothing.
type gate struct {
	// static
	net.Listener
	limits   Limits
	log      *LimitedLog
	elapsed  func() time.Duration
	patience time.Duration // how long a peer may keep the hub waiting while another can't be served
	most     int           // connections waiting
	turns    chan struct{} // one for each TLS handshake being computed
	changed  chan struct{} // capacity 1: somebody can be served, or nobody any more

	// guarded by mu
	mu      sync.Mutex
	places  []*gatedConn           // served, and not admitted yet
	peers   map[netip.Prefix]*peer // who waits or has a place
	queue   []*peer                // who waits, in the order of their turns
	waiting int                    // connections
	err     error                  // why there will be no more
}

// peer is what the gate takes for one peer: see addressOf.
type peer struct {
	address netip.Prefix
	places  int
	waiting []*gatedConn // the first came first
}

func newGate(ln net.Listener, h *Hub) *gate {
	limits := h.limits
	return &gate{
		Listener: ln, limits: limits, log: h.limited, elapsed: h.elapsed, patience: h.pace.patience, most: maxWaiting(),
		turns: make(chan struct{}, limits.TLSHandshakes), changed: make(chan struct{}, 1),
		peers: map[netip.Prefix]*peer{},
	}
}

// listen accepts connections until the listener is closed. A shortage of file descriptors, or the like, passes.
func (g *gate) listen() {
	pause := time.Duration(0)
	for {
		conn, err := g.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			g.arrive(conn)
		case passing(err):
			if pause == 0 {
				g.log.Error("no connection can be accepted", "error", err)
			}
			pause = min(2*pause+5*time.Millisecond, time.Second)
			time.Sleep(pause)
		default:
			g.shut(err)
			return
		}
	}
}

// arrive lets a connection wait for its turn. If there are too many, the last one of the address with the most goes.
func (g *gate) arrive(conn net.Conn) {
	c := &gatedConn{Conn: conn, gate: g, place: -1}
	address := addressOf(conn.RemoteAddr().String())
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		_ = conn.Close()
		return
	}
	p := g.peers[address]
	if p == nil {
		p = &peer{address: address}
		g.peers[address] = p
	}
	c.peer = p
	if len(p.waiting) == 0 {
		g.queue = append(g.queue, p)
	}
	p.waiting = append(p.waiting, c)
	g.waiting++
	var dropped *gatedConn
	if g.waiting > g.most {
		largest := p // on a tie, the newcomer
		for _, other := range g.queue {
			if len(other.waiting) > len(largest.waiting) {
				largest = other
			}
		}
		dropped = largest.waiting[len(largest.waiting)-1]
		largest.waiting = largest.waiting[:len(largest.waiting)-1]
		g.waiting--
		g.forgetIfGone(largest)
	}
	if g.waiting == 1 || g.hasRoom(p) { // the first one to wait starts the clock of those it waits for
		g.signal()
	}
	g.mu.Unlock()
	if dropped != nil {
		_ = dropped.Conn.Close()
	}
}

// forgetIfGone takes a peer off the lists that it is not on any more. mu is held.
func (g *gate) forgetIfGone(p *peer) {
	if len(p.waiting) > 0 {
		return
	}
	if i := slices.Index(g.queue, p); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	}
	if p.places == 0 {
		delete(g.peers, p.address)
	}
}

func (g *gate) signal() {
	notify.Signal(g.changed)
}

// Accept returns the next connection to be served. It is for one goroutine.
func (g *gate) Accept() (net.Conn, error) {
	for {
		next, victim, wait, err := g.next()
		switch {
		case err != nil:
			return nil, err
		case next != nil:
			if tcp, ok := next.Conn.(*net.TCPConn); ok {
				// The default would wake the radio of a sleeping device every 15 s.
				_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: g.limits.Idle, Interval: 15 * time.Second, Count: 3})
			}
			return next, nil
		case victim != nil:
			_ = victim.Close()
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-g.changed:
			case <-timer.C:
			}
			timer.Stop()
		default:
			<-g.changed
		}
	}
}

// next returns whom to serve next. If somebody waits in vain, it returns who is to be dropped for it, or when to look again.
func (g *gate) next() (next, victim *gatedConn, wait time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, nil, 0, g.err
	}
	turn := -1
	for i, p := range g.queue {
		if g.hasRoom(p) && (turn < 0 || p.places < g.queue[turn].places) {
			if turn = i; p.places == 0 {
				break
			}
		}
	}
	if turn >= 0 {
		p := g.queue[turn]
		c := p.waiting[0]
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		g.queue = slices.Delete(g.queue, turn, turn+1)
		if len(p.waiting) > 0 {
			g.queue = append(g.queue, p)
		}
		g.waiting--
		p.places++
		c.place = len(g.places)
		g.places = append(g.places, c)
		c.awaited()
		return c, nil, 0, nil
	}
	if len(g.queue) == 0 {
		return nil, nil, 0, nil
	}
	now := g.elapsed()
	wait = g.patience
	for _, c := range g.places {
		since := time.Duration(c.since.Load())
		if since == 0 { // it is the hub's turn
			continue
		}
		if left := since + g.patience - now; left > 0 {
			wait = min(wait, left)
			continue
		}
		if victim == nil || c.peer.places > victim.peer.places ||
			c.peer.places == victim.peer.places && since < time.Duration(victim.since.Load()) {
			victim = c
		}
	}
	return nil, victim, wait, nil
}

// hasRoom reports whether a peer may have one more place. mu is held.
func (g *gate) hasRoom(p *peer) bool {
	all := g.limits.PendingConnections
	switch taken := len(g.places); {
	case taken < (all+1)/2:
		return true
	case taken < all:
		return p.places < max(all/16, 1)
	default:
		return false
	}
}

// free gives the place of a connection back, if it has one.
func (g *gate) free(c *gatedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place < 0 {
		return
	}
	last := g.places[len(g.places)-1]
	g.places[c.place], last.place = last, c.place
	g.places[len(g.places)-1] = nil
	g.places = g.places[:len(g.places)-1]
	c.place = -1
	c.peer.places--
	g.forgetIfGone(c.peer)
	if len(g.queue) > 0 {
		g.signal()
	}
}

// shut ends the gate: Accept returns err from now on.
func (g *gate) shut(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return
	}
	g.err = err
	for _, p := range g.queue {
		for _, c := range p.waiting {
			_ = c.Conn.Close()
		}
		p.waiting = nil
	}
	g.queue, g.waiting = nil, 0
	g.signal()
}

// Close closes the listener and the connections that nobody has looked at yet.
func (g *gate) Close() error {
	g.shut(net.ErrClosed)
	return g.Listener.Close()
}
