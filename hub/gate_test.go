package hub

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gateRig is a gate whose connections come from nowhere, and whose clock stands still until a test moves it.
type gateRig struct {
	*gate
	t   *testing.T
	now time.Duration
}

// bareHub is what a gate needs of a hub.
func bareHub(l Limits) *Hub {
	h := &Hub{limits: l, pace: defaultPace, began: time.Now()}
	h.limited = NewLimitedLog(slog.New(slog.DiscardHandler), h.elapsed)
	return h
}

func newGateRig(t *testing.T, l Limits) *gateRig {
	r := &gateRig{t: t, now: time.Second, gate: newGate(nil, New(Config{Now: time.Now, Limits: l}))}
	r.elapsed, r.most = func() time.Duration { return r.now }, mostWaiting
	return r
}

// caller is a connection from an address.
type caller struct {
	net.Conn
	address string
	closed  bool
}

func (c *caller) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.address)
	return a
}

func (c *caller) Close() error { c.closed = true; return nil }

// call lets n connections of an address arrive.
func (r *gateRig) call(host string, n int) (all []*caller) {
	for i := range n {
		c := &caller{address: fmt.Sprintf("%s:%d", host, 1000+i)}
		r.arrive(c)
		all = append(all, c)
	}
	return all
}

// serve serves whom it can at this moment, dropping whom it may, as Accept does.
func (r *gateRig) serve() (served []*gatedConn) {
	for {
		next, victim, _, err := r.next()
		switch {
		case err != nil:
			r.t.Fatal(err)
		case next != nil:
			served = append(served, next)
		case victim != nil:
			_ = victim.Close()
		default:
			return served
		}
	}
}

func contains(served []*gatedConn, c *caller) bool {
	for _, s := range served {
		if s.Conn == c {
			return true
		}
	}
	return false
}

func closedOf(all []*caller) (n int) {
	for _, c := range all {
		if c.closed {
			n++
		}
	}
	return n
}

// 512 connections that say nothing were all it took to keep everybody else out until their time was up.
func TestSilentPeersKeepNobodyOut(t *testing.T) {
	r := newGateRig(t, Limits{PendingConnections: 512}.withDefaults())
	a, b := r.call("192.0.2.1", 2000), r.call("192.0.2.2", 2000)
	r.serve()
	newcomer := r.call("192.0.2.3", 1)[0]
	if !contains(r.serve(), newcomer) {
		t.Fatal("a newcomer is not served at once")
	}
	if closedOf(a)+closedOf(b) > 0 {
		t.Error("somebody was dropped without need")
	}
	// They use up all places together, with more addresses.
	for i := range 50 {
		r.call(fmt.Sprintf("198.51.100.%d", i), 10)
	}
	r.serve()
	newcomer = r.call("192.0.2.4", 1)[0]
	if contains(r.serve(), newcomer) {
		t.Fatal("there was room: the test is too weak")
	}
	r.now += r.patience
	if !contains(r.serve(), newcomer) {
		t.Error("a newcomer is not served when the hub has lost its patience with others")
	}
	if len(r.places) > 512 || r.waiting > r.most {
		t.Errorf("%d places, %d waiting", len(r.places), r.waiting)
	}
}

// All places are taken, and nobody waits, until somebody comes: Accept has to notice by itself when patience ends.
func TestNewcomerNeedsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newGateRig(t, Limits{PendingConnections: 4}.withDefaults())
		began := time.Now()
		r.elapsed = func() time.Duration { return time.Since(began) }
		accepted := make(chan net.Conn)
		go func() {
			defer close(accepted)
			for {
				c, err := r.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		for i := range 4 {
			r.call(fmt.Sprintf("198.51.100.%d", i), 1)
			<-accepted
		}
		synctest.Wait()
		newcomer := r.call("192.0.2.1", 1)[0]
		select {
		case c := <-accepted:
			if c.(*gatedConn).Conn != newcomer {
				t.Errorf("%v is served", c.RemoteAddr())
			}
		case <-time.After(2 * r.patience):
			t.Error("the newcomer is not served")
		}
		r.shut(net.ErrClosed)
		<-accepted
	})
}

// Strangers with hundreds of addresses hold all places, and more of them wait. Devices of one address that come one after the
// other don't have to wait for a turn of everybody each time.
func TestWhoHasTheFewestPlacesComesFirst(t *testing.T) {
	r := newGateRig(t, Limits{PendingConnections: 512}.withDefaults())
	for i := range 250 {
		r.call(fmt.Sprintf("198.51.100.%d", i), 10)
	}
	r.serve()
	for i := range 3 {
		device := r.call("192.0.2.1", 1)[0]
		r.now += r.patience
		if _, victim, _, _ := r.next(); victim == nil {
			t.Fatal("nobody is dropped: the test is too weak")
		} else {
			_ = victim.Close()
		}
		next, _, _, _ := r.next()
		if next == nil || next.Conn != device {
			t.Fatalf("device %d has to wait", i)
		}
		next.admit()
		r.serve()
	}
}

// The one who is dropped is the oldest of the greediest address that keeps the hub waiting.
func TestWhoIsDropped(t *testing.T) {
	r := newGateRig(t, Limits{PendingConnections: 8}.withDefaults())
	first := r.call("192.0.2.1", 1)[0] // older, but of a modest address
	r.serve()
	r.now++
	busy := r.call("192.0.2.2", 1)[0]
	r.serve()[0].since.Store(0) // the hub computes, or answers
	r.now++
	greedy := r.call("192.0.2.2", 2)
	r.serve()
	for i := range 5 {
		r.now++
		r.call(fmt.Sprintf("198.51.100.%d", i), 1)
	}
	r.serve()
	r.now += r.patience
	_, victim, _, _ := r.next()
	if victim == nil || victim.Conn != greedy[0] {
		t.Errorf("dropped: %+v", victim)
	}
	if first.closed || busy.closed {
		t.Error("others are closed")
	}
	// With nobody waiting, nobody is dropped.
	r = newGateRig(t, Limits{PendingConnections: 8}.withDefaults())
	r.call("192.0.2.1", 4)
	r.serve()
	r.now += time.Hour
	if _, victim, _, _ := r.next(); victim != nil {
		t.Error("dropped without need")
	}
}

// A few addresses hold all places and ask for a page every second. That is no reason to keep others out.
func TestBusyPeersKeepNobodyOut(t *testing.T) {
	for name, request := range map[string]func() *http.Request{
		"pages": func() *http.Request { return httptest.NewRequest("GET", "/", nil) },
		"bodies that take their time": func() *http.Request {
			return httptest.NewRequest("POST", "/", strings.NewReader("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newGateRig(t, Limits{PendingConnections: 64}.withDefaults())
			page := answering(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				r.now += time.Millisecond / 64
				_, _ = io.Copy(io.Discard, req.Body)
			}))
			for i := range 16 {
				r.call(fmt.Sprintf("198.51.100.%d", i), 4)
			}
			held := r.serve()
			if len(r.places) != 64 {
				t.Fatalf("%d places are taken: the test is too weak", len(r.places))
			}
			newcomer := r.call("192.0.2.1", 1)[0]
			for range 5 {
				r.now += r.patience / 3
				if contains(r.serve(), newcomer) {
					return
				}
				for _, c := range held {
					page.ServeHTTP(httptest.NewRecorder(), request().WithContext(withConn(t.Context(), c)))
				}
			}
			t.Error("a newcomer is not served")
		})
	}
}

// A whole fleet returns through one address: it waits, and everybody gets in.
func TestFleetBehindOneAddress(t *testing.T) {
	r := newGateRig(t, Limits{PendingConnections: 512}.withDefaults())
	fleet, in := r.call("192.0.2.1", mostWaiting), 0
	for {
		served := r.serve()
		if len(served) == 0 {
			break
		}
		r.now += r.patience / 2 // handshakes take their time
		for _, c := range served {
			c.admit()
			in++
		}
	}
	if in != len(fleet) || closedOf(fleet) != 0 {
		t.Errorf("%d of %d came in, %d were dropped", in, len(fleet), closedOf(fleet))
	}
	if len(r.peers) != 0 || len(r.places) != 0 || len(r.queue) != 0 || r.waiting != 0 {
		t.Errorf("left behind: %d peers, %d places, %d in the queue, %d waiting", len(r.peers), len(r.places), len(r.queue), r.waiting)
	}
}

func TestTooManyWait(t *testing.T) {
	r := newGateRig(t, Limits{PendingConnections: 2}.withDefaults())
	r.most = 100
	few := r.call("192.0.2.1", 10)
	many := r.call("192.0.2.2", 200)
	newcomer := r.call("192.0.2.3", 1)[0]
	if r.waiting != 100 || closedOf(few) != 0 || newcomer.closed || closedOf(many) != 111 {
		t.Errorf("%d waiting, closed: %d of few, %d of many", r.waiting, closedOf(few), closedOf(many))
	}
	if many[0].closed || !many[199].closed {
		t.Error("the last ones of the address must go")
	}
	r.shut(net.ErrClosed)
	if n := closedOf(few) + closedOf(many); n != 210 || !newcomer.closed {
		t.Errorf("%d closed at the end", n)
	}
	late := r.call("192.0.2.4", 1)[0]
	if _, err := r.Accept(); err != net.ErrClosed || !late.closed {
		t.Errorf("after the end: %v", err)
	}
}
