package dashboard

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// asOperator opens a connection with an API key that may send commands.
func (r *liveRig) asOperator() *stompClient {
	r.t.Helper()
	key, err := r.store.Accounts.AddAPIKey(fmt.Sprint("operator", time.Now().UnixNano()), accounts.RoleOperator)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.dial(r.upgrade("Authorization: Bearer " + key)...)
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.expect(stomp.Connected)
	return c
}

func TestS70WhereSendMayGo(t *testing.T) {
	r := newLiveRig(t, rigOptions{}, "pump")
	for _, to := range []string{"", "destination:\n", "destination:/topic/hub\n", "destination:/topic/devices/pump/readings\n", "destination:/app/devices//commands\n",
		"destination:/app/devices/a/b/commands\n", "destination:/app/devices/commands\n", "destination:/app/devices/pump\n", "destination:" + strings.Repeat("x", 300) + "\n"} {
		c := r.asOperator()
		c.send("SEND\n" + to + "receipt:r\n\n{}\x00")
		c.fails(4000, "", "r")
	}
}

func TestCommandsNeedTheRoleOperator(t *testing.T) {
	r := newLiveRig(t, rigOptions{}, "pump")
	for _, how := range []string{"", "transaction:t\n"} {
		c := r.connect()
		c.frame("BEGIN", "transaction:t")
		c.send("SEND\ndestination:/app/devices/pump/commands\n" + how + "receipt:r\n\n{}\x00")
		if how != "" {
			c.expect(stomp.Receipt)
			c.frame("COMMIT", "transaction:t", "receipt:r")
		}
		c.fails(1008, "role operator", "r")
	}
}

func TestS71Receipts(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	want := func(id string) {
		t.Helper()
		if f := c.expect(stomp.Receipt); f.Headers.Value("receipt-id") != id || len(f.Headers) != 1 {
			t.Fatalf("%v instead of %q", f.Headers, id)
		}
	}
	c.send(subscribeFrame("1", "/topic/hub", "ack:client", "receipt:a\\cb\\\\ c"))
	want(`a:b\ c`)
	h, _ := c.message("1")
	for i, frame := range []string{"BEGIN\ntransaction:t\n", "ACK\nid:" + h.Value("ack") + "\ntransaction:t\n", "COMMIT\ntransaction:t\n", "BEGIN\ntransaction:u\n", "ABORT\ntransaction:u\n",
		"UNSUBSCRIBE\nid:1\n"} {
		c.send(frame + "receipt:" + strconv.Itoa(i) + "\n\n\x00")
		want(strconv.Itoa(i))
	}
	c.frame("BEGIN", "transaction:x") // none is asked for
	c.send("\n\n")                    // S-21: heart-beats never get an answer
	c.frame("ABORT", "transaction:x", "receipt:")
	c.frame("DISCONNECT", "receipt:last")
	want("last")
	c.closed(1000)
}

// S-72 is in every test that expects an ERROR.

func TestS73Transactions(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, frames := range [][]string{
		{"BEGIN\nreceipt:r\n"},
		{"BEGIN\ntransaction:t\n", "BEGIN\ntransaction:t\nreceipt:r\n"},
		{"COMMIT\ntransaction:t\nreceipt:r\n"},
		{"ABORT\ntransaction:t\nreceipt:r\n"},
		{"BEGIN\ntransaction:t\n", "COMMIT\ntransaction:t\n", "COMMIT\ntransaction:t\nreceipt:r\n"},
		{"SEND\ntransaction:t\ndestination:/app/devices/pump/commands\nreceipt:r\n"},
		{"ACK\nid:1\ntransaction:t\nreceipt:r\n"},
	} {
		c := r.asOperator()
		for _, f := range frames {
			c.send(f + "\n\x00")
		}
		c.fails(4000, "transaction", "r")
	}
	// What is in a transaction happens at its end: there, what can't be sent is an error, and after ABORT it is none.
	c := r.asOperator()
	bad := "SEND\ntransaction:t\ndestination:/nowhere\nreceipt:s\n\nx\x00"
	c.frame("BEGIN", "transaction:t")
	c.send(bad)
	c.expect(stomp.Receipt)
	c.frame("ABORT", "transaction:t")
	c.receipt()
	c.frame("BEGIN", "transaction:t")
	c.send(bad)
	c.expect(stomp.Receipt)
	c.frame("COMMIT", "transaction:t", "receipt:r")
	c.fails(4000, "nothing can be sent", "r")
}

func TestS73TransactionsAreBounded(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	send := func(body int) string {
		return "SEND\ntransaction:0\ndestination:/app/devices/pump/commands\n\n" + strings.Repeat("x", body) + "\x00"
	}
	for text, stream := range map[string]func(c *stompClient){
		"at most 16 transactions": func(c *stompClient) {
			for i := range maxTransactions + 1 {
				c.frame("BEGIN", "transaction:"+strconv.Itoa(i))
			}
		},
		"at most 100 frames": func(c *stompClient) {
			c.frame("BEGIN", "transaction:0")
			c.send(strings.Repeat(send(1), maxHeldFrames+1))
		},
		"at most 262144 bytes": func(c *stompClient) {
			c.frame("BEGIN", "transaction:0")
			for range 5 {
				c.send(send(60_000))
			}
		},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c := r.asOperator()
			stream(c)
			c.fails(4000, text, "")
		})
	}
	// Room is given back.
	c := r.asOperator()
	for range 3 {
		c.frame("BEGIN", "transaction:0")
		for range 4 {
			c.send(send(60_000))
		}
		c.frame("ABORT", "transaction:0")
	}
	c.receipt()
}

func TestS74Disconnect(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, receipt := range []string{"", "receipt:close-1\n"} {
		c := r.connect()
		c.send("DISCONNECT\n" + receipt + "\n\x00" + "nonsense\n" + subscribeFrame("1", "/topic/hub", "receipt:no"))
		if receipt != "" {
			if f := c.next(); f == nil || f.Command != stomp.Receipt || f.Headers.Value("receipt-id") != "close-1" {
				t.Fatalf("%v", f)
			}
		}
		c.closed(1000)
	}
}

// S-75: whoever is still sending gets to read why the connection ends.
func TestS75ErrorArrives(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for range 5 {
		c := r.connect()
		c.send("nonsense\n")
		go func() {
			for range 100 {
				if _, err := c.conn.Write(wsFrame(0x82, make([]byte, 20_000))); err != nil {
					return
				}
			}
		}()
		c.fails(4000, "unknown command", "")
	}
}

// S-76: nothing is left of connections, whichever way they end. goleak counts again at the end of all tests.
func TestS76NothingIsLeft(t *testing.T) {
	r := newLiveRig(t, rigOptions{viewers: viewerLimits{viewers: 1000, perAccount: 1000, anonymous: 1000, anonymousPerAddress: 1000}}, "pump")
	r.connect().closeTCP()
	eventually(t, "nobody is there", func() bool { return r.taken() == 0 })
	before := runtime.NumGoroutine()
	ways := []func(c *stompClient){
		func(c *stompClient) {},
		func(c *stompClient) { c.send("CONN") },
		func(c *stompClient) { c.send("CONNECT\naccept-version:1.2\n\n\x00") },
		func(c *stompClient) {
			c.send("CONNECT\naccept-version:1.2\nheart-beat:1000,1000\n\n\x00" + subscribeFrame("1", "/topic/hub") + subscribeFrame("2", "/topic/devices") +
				"BEGIN\ntransaction:t\n\n\x00SEND\ntransaction:t\n\nhalf")
		},
		func(c *stompClient) {
			c.send("CONNECT\naccept-version:1.2\n\n\x00" + subscribeFrame("1", "/topic/devices/*/readings"))
			c.expect(stomp.Connected)
			c.message("1")
		},
		func(c *stompClient) { c.write(wsFrame(0x88, []byte{3, 0xe8})) },
		func(c *stompClient) { c.send("nonsense\n") },
	}
	const rounds, together = 100, 8
	var tasks sync.WaitGroup
	for range together {
		tasks.Go(func() {
			for i := range rounds {
				c := r.dial(r.offering()...)
				ways[i%len(ways)](c)
				c.closeTCP()
			}
		})
	}
	tasks.Wait()
	// Of who closes at once, the hub may only now be about to take notice: it has a place before it is among the viewers.
	eventually(t, "no place is taken", func() bool { return r.taken() == 0 })
	eventually(t, "all goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
	r.viewers.mu.Lock()
	defer r.viewers.mu.Unlock()
	if len(r.viewers.of) > 0 || len(r.viewers.connected) > 0 {
		t.Errorf("counted as there: %v, connected: %d", r.viewers.of, len(r.viewers.connected))
	}
	if n := r.feed.Hub().Viewers; n != 0 {
		t.Errorf("the feed has %d viewers", n)
	}
}

func (c *stompClient) closeTCP() { _ = c.conn.NetConn().Close() }

func TestS78SessionEnds(t *testing.T) {
	for name, end := range map[string]func(r *liveRig, secret string) error{
		"logout":       func(r *liveRig, secret string) error { return r.store.Accounts.EndSession(secret) },
		"new password": func(r *liveRig, _ string) error { return r.store.Accounts.SetPassword("ann", "another one") },
		"user removed": func(r *liveRig, _ string) error { return r.store.Accounts.RemoveUser("ann", true) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.look = 10 * time.Millisecond }})
			if err := r.store.Accounts.AddUser("ann", password, accounts.RoleAdmin); err != nil {
				t.Fatal(err)
			}
			secret, _, err := r.store.Accounts.OpenSession("ann")
			if err != nil {
				t.Fatal(err)
			}
			browser := []string{"Cookie: __Host-session=" + secret, "Origin: https://" + r.addr}
			c, early, other := r.dial(r.upgrade(browser...)...), r.dial(r.upgrade(browser...)...), r.connect()
			c.send("CONNECT\naccept-version:1.2\n\n\x00")
			c.expect(stomp.Connected)
			c.send(subscribeFrame("1", "/topic/hub"))
			c.message("1")
			if err := end(r, secret); err != nil {
				t.Fatal(err)
			}
			c.fails(1008, "session-expired", "")
			early.fails(1008, "session-expired", "")
			other.receipt()
		})
	}
	t.Run("API key removed", func(t *testing.T) {
		r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.look = 10 * time.Millisecond }})
		c := r.connect()
		if err := r.store.Accounts.RemoveAPIKey("reader"); err != nil {
			t.Fatal(err)
		}
		c.fails(1008, "session-expired", "")
	})
	t.Run("before the next look", func(t *testing.T) {
		r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.look = time.Hour }}, "pump")
		c := r.asOperator()
		for _, k := range r.store.Accounts.APIKeys() {
			if err := r.store.Accounts.RemoveAPIKey(k.Name); err != nil {
				t.Fatal(err)
			}
		}
		c.send("SEND\ndestination:/app/devices/pump/commands\nreceipt:r\n\n{}\x00")
		c.fails(1008, "session-expired", "r")
	})
}

func TestHubStops(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c, early, silent := r.connect(), r.dial(r.offering()...), r.connect()
	c.send(subscribeFrame("1", "/topic/hub"))
	c.message("1")
	_ = silent // it does not answer
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	for _, c := range []*stompClient{c, early} {
		if text := c.closed(1001); text == "" {
			t.Error("no reason")
		}
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("still listening")
	}
}

// The hub stops between the handshake of a viewer and its entering: it is told so, too.
func TestHubStopsDuringAHandshake(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		place, err := r.viewers.enter("x")
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := r.upgrader.Upgrade(w, req)
		if err != nil {
			t.Error(err)
			return
		}
		r.stop()
		r.watch(conn, place, nil, req)
	}))
	defer server.Close()
	r.addr = server.Listener.Addr().String()
	if text := r.dial(r.offering()...).closed(1001); text != hubStops {
		t.Errorf("reason %q", text)
	}
	eventually(t, "its place is given back", func() bool { return r.taken() == 0 })
}

func TestManyMessagesAreReadSlowly(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for name, one := range map[string][]byte{
		"heart-beats": wsFrame(0x81, []byte("\n")),
		"pings":       wsFrame(0x89, nil),
		"pongs":       wsFrame(0x8a, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.connect()
			began := time.Now()
			for range messageBurst + 2*messageRate {
				c.write(one)
			}
			c.receipt()
			if took := time.Since(began); took < 1500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	good, bad := r.connect(), r.connect()
	eventually(t, "both are there", func() bool { return r.watching() == 2 })
	for _, v := range r.viewers.present() {
		if c := v.(*liveConn); c.request.RemoteAddr == bad.conn.LocalAddr().String() {
			c.mu.Lock()
			c.subs = nil // a fault of ours: SUBSCRIBE will panic
			c.mu.Unlock()
		}
	}
	bad.send(subscribeFrame("1", "/topic/hub"))
	bad.closed(1011)
	good.send(subscribeFrame("1", "/topic/hub"))
	good.message("1")
	eventually(t, "the log tells", func() bool { return strings.Contains(r.logged.String(), "assignment to entry in nil map") })
}
