package dashboard

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// The names of the tests carry the ids of the checklist for STOMP servers; those of framing are in package stomp.

func TestS01toS03Subprotocol(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	auth := "Authorization: Bearer " + r.key
	for _, c := range []struct {
		offer  []string
		status int
		chosen string
	}{
		{[]string{"Sec-WebSocket-Protocol: v12.stomp, v11.stomp, v10.stomp"}, 101, "v12.stomp"},
		{[]string{"Sec-WebSocket-Protocol: v10.stomp", "Sec-WebSocket-Protocol: v12.stomp"}, 101, "v12.stomp"},
		{nil, 101, ""},
		{[]string{"Sec-WebSocket-Protocol: v11.stomp, mqtt"}, 400, ""},
		{[]string{"Sec-WebSocket-Protocol: V12.STOMP"}, 400, ""},
	} {
		res, conn := r.ask(r.upgrade(append(c.offer, auth)...)...)
		if got := strings.Join(res.Header.Values("Sec-WebSocket-Protocol"), "|"); res.StatusCode != c.status || got != c.chosen {
			t.Errorf("%q: %s, chosen %q", c.offer, res.Status, got)
		}
		if c.status == 101 {
			conn.send("CONNECT\naccept-version:1.2\n\n\x00")
			conn.expect(stomp.Connected)
		}
	}
}

func TestS04FirstFrame(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, command := range []string{"CONNECT", "STOMP"} {
		c := r.dial(r.offering()...)
		c.send("\n\r\n" + command + "\naccept-version:1.0,1.1,1.2\nhost:any:1\nreceipt:x\n\n\x00")
		f := c.expect(stomp.Connected)
		if f.Headers.Value("version") != "1.2" || f.Headers.Value("server") != "telemetry-hub/v1" || f.Headers.Value("heart-beat") != "10000,10000" {
			t.Errorf("%s: %v", command, f.Headers)
		}
		c.receipt() // there is none for x
	}
	for _, first := range []string{"SUBSCRIBE\nid:1\ndestination:/topic/hub\nreceipt:x\n\n\x00", "CONNECTED\nversion:1.2\nreceipt:x\n\n\x00"} {
		c := r.dial(r.offering()...)
		c.send(first)
		c.fails(4000, "CONNECT", "x")
	}
}

func TestS05ConnectMustCome(t *testing.T) {
	r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.connect, p.look = 300*time.Millisecond, 10*time.Millisecond }})
	c := r.dial(r.offering()...)
	done := make(chan struct{})
	go func() { // heart-beats don't help
		defer close(done)
		for {
			if _, err := c.conn.Write(wsFrame(0x81, []byte("\n"))); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	c.closed(1008)
	_ = c.conn.NetConn().Close()
	<-done
}

func TestS06SecondConnect(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	c.frame("CONNECT", "accept-version:1.2", "receipt:7")
	c.fails(4000, "second CONNECT", "7")
}

func TestS07S08Versions(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, headers := range []string{"accept-version:1.0,1.1\n", "", "accept-version:2.0\n", "accept-version:1.0\naccept-version:1.2\n"} {
		c := r.dial(r.offering()...)
		c.send("CONNECT\n" + headers + "\n\x00")
		if f := c.fails(4000, "version", ""); f.Headers.Value("version") != "1.2" || f.Headers.Value("content-type") != "text/plain" {
			t.Errorf("%v", f.Headers)
		}
	}
}

// S-09: common clients send no host, though STOMP 1.2 tells them to.
func TestS09HostMayBeMissing(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, host := range []string{"", "host:\n", "host:elsewhere:443\n"} {
		c := r.dial(r.offering()...)
		c.send("CONNECT\naccept-version:1.2\n" + host + "\n\x00")
		c.expect(stomp.Connected)
	}
}

func TestS12Login(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	anonymous := r.upgrade("Sec-WebSocket-Protocol: v12.stomp")
	c := r.dial(anonymous...)
	c.send("CONNECT\naccept-version:1.2\nlogin:whoever\npasscode:" + r.key + "\n\n\x00")
	c.expect(stomp.Connected)
	c.send(subscribeFrame("1", "/topic/hub"))
	c.message("1")

	if err := r.store.Accounts.AddUser("ann", password, accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	session, _, err := r.store.Accounts.OpenSession("ann")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, headers := range []string{"", "login:reader\n", "passcode:thk_wrong\n", "passcode:\n", "login:ann\npasscode:" + password + "\n",
		"passcode: " + r.key + "\n", "passcode:" + session + "\n"} {
		c := r.dial(anonymous...)
		c.send("CONNECT\naccept-version:1.2\n" + headers + "\n\x00")
		texts = append(texts, c.fails(1008, "login failed", "").Headers.Value("message"))
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q tells more than %q", text, texts[0])
		}
	}
	for _, secret := range []string{r.key, session, password, "thk_wrong"} {
		if strings.Contains(r.logged.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestS13BytesBeforeConnected(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	filler := strings.Repeat("x", 1000)
	for name, send := range map[string]func(c *stompClient){
		"in one message": func(c *stompClient) { c.send("CONNECT\n" + strings.Repeat("a:"+filler+"\n", 5) + "\n\x00") },
		"in several messages": func(c *stompClient) {
			c.send("CONNECT\n")
			for range 5 {
				c.send("a:" + filler + "\n")
			}
		},
		"heart-beats": func(c *stompClient) { c.send(strings.Repeat("\n", 5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(r.offering()...)
			send(c)
			c.fails(4000, "4096 bytes", "")
		})
	}
	// What follows CONNECT does not count, even if it comes with it.
	c := r.dial(r.offering()...)
	c.send("CONNECT\naccept-version:1.2\na:" + strings.Repeat("x", 4000) + "\n\n\x00" + strings.Repeat("\n", 5000) + subscribeFrame("1", "/topic/hub"))
	c.expect(stomp.Connected)
	c.message("1")
}

func TestHandshakeOfViewers(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	if err := r.store.Accounts.AddUser("ann", password, accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	session, _, err := r.store.Accounts.OpenSession("ann")
	if err != nil {
		t.Fatal(err)
	}
	cookie, own, bearer := "Cookie: __Host-session="+session, "Origin: https://"+r.addr, "Authorization: Bearer "+r.key
	for _, c := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"cookie, own page", []string{cookie, own}, 101},
		{"cookie, no Origin", []string{cookie}, 403},
		{"cookie, no Origin, but the browser says same-origin", []string{cookie, "Sec-Fetch-Site: same-origin"}, 101},
		{"cookie, other origin", []string{cookie, "Origin: https://evil.example"}, 403},
		{"cookie, other port", []string{cookie, "Origin: https://127.0.0.1:1"}, 403},
		{"cookie, other scheme", []string{cookie, "Origin: http://" + r.addr}, 403},
		{"cookie, no origin at all", []string{cookie, "Origin: null"}, 403},
		{"cookie, longer name", []string{cookie, own + ".evil.example"}, 403},
		{"cookie, same site", []string{cookie, "Sec-Fetch-Site: same-site"}, 403},
		{"old cookie", []string{"Cookie: __Host-session=ths_old", own}, 401},
		{"API key in the cookie", []string{"Cookie: __Host-session=" + r.key, own}, 401},
		{"API key", []string{bearer}, 101},
		{"API key, other origin", []string{bearer, "Origin: https://evil.example"}, 403},
		{"wrong API key", []string{"Authorization: Bearer thk_wrong"}, 401},
		{"session as API key", []string{"Authorization: Bearer " + session}, 401},
		{"wrong API key, good cookie", []string{"Authorization: Bearer thk_wrong", cookie, own}, 401},
		{"nothing", nil, 101},
		{"nothing, other origin", []string{"Origin: https://evil.example"}, 403},
		{"other host", []string{bearer, "Host: evil.example"}, 400}, // two Hosts
	} {
		res, _ := r.ask(r.upgrade(append(c.lines, "Sec-WebSocket-Protocol: v12.stomp")...)...)
		if res.StatusCode != c.status {
			b, _ := io.ReadAll(res.Body)
			t.Errorf("%s: %s %s", c.name, res.Status, b)
		}
	}
	lines := r.upgrade(bearer)
	lines[1] = "Host: evil.example"
	if res, _ := r.ask(lines...); res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("name of somebody else: %s", res.Status)
	}
	for _, method := range []string{"POST", "HEAD"} {
		lines := r.upgrade(bearer)
		lines[0] = method + " /v1/live HTTP/1.1"
		if res, _ := r.ask(lines...); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
	if res, _ := r.ask("GET /v1/live HTTP/1.1", "Host: "+r.addr, bearer); res.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("no WebSocket: %s", res.Status)
	}
}
