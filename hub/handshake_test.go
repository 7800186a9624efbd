package hub

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestHandshakeAnswers(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{FailuresPerAddress: 1000, HandshakeTimeout: time.Hour}}, "good", "revoked")
	if err := r.store.Devices.Revoke("revoked"); err != nil {
		t.Fatal(err)
	}
	lines := r.upgradeLines(r.tokens["good"])
	// with replaces the line that begins like the new one, or adds it; without drops lines.
	with := func(line string) []string {
		l := slices.Clone(lines)
		name, _, _ := strings.Cut(line, ":")
		for i := range l {
			if strings.HasPrefix(l[i], name+":") {
				l[i] = line
				return l
			}
		}
		return append(l, line)
	}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(l, n+":") })
		})
	}
	request := func(line string) []string { return append([]string{line}, lines[1:]...) }
	const realm = `Bearer realm="telemetry-hub"`
	for _, c := range []struct {
		name   string
		lines  []string
		status int
		header string // one that must be there, "Name: value"
	}{
		{"right", lines, 101, "Sec-Websocket-Protocol: telemetry.v1"},
		{"right, header over two lines", append(with("Connection: keep-alive"), "Connection: upgrade"), 101, ""},
		{"right, several upgrades", with("Upgrade: h2c, WebSocket"), 101, ""},
		{"right, several protocols", append(with("Sec-WebSocket-Protocol: other"), "Sec-WebSocket-Protocol: x, telemetry.v1"), 101, ""},
		{"right, by cookie", append(without("Authorization"), "Cookie: a=b; device_token="+r.tokens["good"]), 101, ""},
		{"right, by cookie from a page of ours", append(without("Authorization"), "Origin: https://"+r.addr, "Cookie: device_token="+r.tokens["good"]), 101, ""},
		{"right, by cookie from a program", append(without("Authorization"), "Origin: file://", "Cookie: device_token="+r.tokens["good"]), 101, ""},
		{"right, compression is not negotiated", append(slices.Clone(lines), "Sec-WebSocket-Extensions: permessage-deflate"), 101, "Sec-Websocket-Extensions: "},
		{"cookie from another page", append(without("Authorization"), "Origin: https://evil.example", "Cookie: device_token="+r.tokens["good"]), 403, ""},
		{"cookie from a page of ours by plain HTTP", append(without("Authorization"), "Origin: http://"+r.addr, "Cookie: device_token="+r.tokens["good"]), 403, ""},
		{"cookie from nowhere", append(without("Authorization"), "Origin: null", "Cookie: device_token="+r.tokens["good"]), 403, ""},
		{"no token", without("Authorization"), 401, "Www-Authenticate: " + realm},
		{"unknown token", with("Authorization: Bearer nonsense"), 401, "Www-Authenticate: " + realm + `, error="invalid_token"`},
		{"other scheme", with("Authorization: Basic " + r.tokens["good"]), 401, "Www-Authenticate: " + realm},
		{"two tokens", append(slices.Clone(lines), "Authorization: Bearer x"), 401, "Www-Authenticate: " + realm},
		{"token in the address", append([]string{"GET " + device.Path + "?token=" + r.tokens["good"] + " HTTP/1.1"}, without("GET", "Authorization")[1:]...), 401, ""},
		{"revoked", with("Authorization: Bearer " + r.tokens["revoked"]), 403, ""},
		{"other path", request("GET / HTTP/1.1"), 404, ""},
		{"longer path", request("GET " + device.Path + "/x HTTP/1.1"), 404, ""},
		{"POST", request("POST " + device.Path + " HTTP/1.1"), 405, "Allow: GET"},
		{"HEAD", request("HEAD " + device.Path + " HTTP/1.1"), 405, "Allow: GET"},
		{"no upgrade", without("Upgrade", "Connection"), 426, "Upgrade: websocket"},
		{"half an upgrade", with("Connection: NotUpgradeX"), 426, "Upgrade: websocket"},
		{"old version", with("Sec-WebSocket-Version: 8"), 426, "Sec-Websocket-Version: 13"},
		{"no version", without("Sec-WebSocket-Version"), 426, "Sec-Websocket-Version: 13"},
		{"no subprotocol", without("Sec-WebSocket-Protocol"), 426, "Sec-Websocket-Protocol: telemetry.v1"},
		{"other subprotocols", with("Sec-WebSocket-Protocol: mqtt, Telemetry.V1"), 400, ""},
		{"no key", without("Sec-WebSocket-Key"), 400, ""},
		{"bad key", with("Sec-WebSocket-Key: zz"), 400, ""},
		{"short key", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), 400, ""},
		{"two keys", append(slices.Clone(lines), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, ""},
		{"body", append(slices.Clone(lines), "Content-Length: 5", "", "12345"), 400, ""},
		{"HTTP/1.0", request("GET " + device.Path + " HTTP/1.0"), 505, ""},
		{"huge header", append(slices.Clone(lines), "X: "+strings.Repeat("x", 20<<10)), 431, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, store: r.store, hub: r.hub, addr: r.addr, tls: r.tls}
			var res *http.Response
			var body string
			if c.status == 101 {
				res, _ = r.ask(r.dialTLS(), c.lines...)
			} else {
				res, body = r.get(c.lines...)
			}
			if res.StatusCode != c.status {
				t.Fatalf("%s %q, expected %d", res.Status, body, c.status)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok && res.Header.Get(name) != value {
				t.Errorf("%s is %q, expected %q", name, res.Header.Get(name), value)
			}
			for _, secret := range []string{"token=", r.tokens["good"]} {
				if secret != "" && strings.Contains(body, secret) {
					t.Errorf("%q tells a secret", body)
				}
			}
			if ours := c.status >= 400 && c.status != 431 && c.name != "HEAD"; ours && (len(body) < 20 || strings.Count(body, ".\n") != 1) {
				t.Errorf("the answer is not one sentence: %q", body)
			}
		})
	}
}

// A device that has the wrong path is told so, whatever else is served there, and never redirected.
func TestDeviceOnAWrongPath(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a page")) })
	r := newRig(t, rigOptions{limits: Limits{HandshakeTimeout: time.Hour}, other: page}, "a")
	for _, path := range []string{"/", "//v1/device", "/v1/device/", "/v1/./device", "/page", "/v2/device"} {
		lines := r.upgradeLines(r.tokens["a"])
		lines[0] = "GET " + path + " HTTP/1.1"
		if res, body := r.get(lines...); res.StatusCode != 404 || !strings.Contains(body, device.Path) {
			t.Errorf("%s: %v %q", path, res.Status, body)
		}
	}
	if res, _ := r.get("GET //v1/device HTTP/1.1", "Host: "+r.addr); res.StatusCode != 404 {
		t.Errorf("no handshake: %v %v", res.Status, res.Header)
	}
	if res, _ := r.ask(r.dialTLS(), "GET / HTTP/1.1", "Host: "+r.addr); res.StatusCode != 200 {
		t.Errorf("a person: %v", res.Status)
	}
}

// Cipher suites in CBC mode have a long record of attacks (RFC 9325 §4.2); a client that has only those fails.
func TestOnlyAuthenticatedEncryption(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, suite := range tls.CipherSuites() {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || strings.Contains(suite.Name, "_RSA_WITH") {
			continue // of another version, or for another key
		}
		config := r.tls.Clone()
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
		conn, err := tls.Dial("tcp", r.addr, config)
		if err == nil {
			_ = conn.Close()
		}
		if strong := !strings.Contains(suite.Name, "CBC"); strong != (err == nil) {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
}

// Upgrade must stand in Connection (RFC 9110 §7.8), and the connection ends all the same.
func TestUpgradeRequiredCloses(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{HandshakeTimeout: time.Hour}})
	conn := r.dialTLS()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("GET " + device.Path + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	for _, line := range []string{"HTTP/1.1 426 Upgrade Required\r\n", "\r\nConnection: close\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n"} {
		if err != nil || !strings.Contains(string(answer), line) {
			t.Errorf("no %q in %q, %v", line, answer, err)
		}
	}
}

func TestFailedAuthenticationsAreLimited(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{FailuresPerAddress: 1e-6}}, "a")
	for range 10 {
		if res, _ := r.get(r.upgradeLines("guess")...); res.StatusCode != 401 {
			t.Fatal(res.Status)
		}
	}
	res, _ := r.get(r.upgradeLines("guess")...)
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); res.StatusCode != 429 || err != nil || s < 1 {
		t.Errorf("%v %v", res.Status, res.Header)
	}
	r.join("a").alive(1) // who has a token may come from the same address
}

func TestConnectionLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		status int
		alarm  []string
	}{
		"all":         {Limits{Connections: 2}, 503, []string{"503", "2 are connected", "connections in [limits]"}},
		"one address": {Limits{ConnectionsPerAddress: 2}, 429, []string{"429", "127.0.0.1 ", "has 2 connections", "connections_per_address"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{limits: c.limits}, "a", "b", "c")
			a, b := r.join("a"), r.join("b")
			res, _ := r.get(r.upgradeLines(r.tokens["c"])...)
			if s, err := strconv.Atoi(res.Header.Get("Retry-After")); res.StatusCode != c.status || err != nil || s < 1 {
				t.Fatalf("%v %v", res.Status, res.Header)
			}
			if r.alarm(c.alarm...) == "" {
				t.Errorf("no alarm: %v", r.store.Alarms.All())
			}
			r.hub.endCapacityAlarms(r.hub.elapsed() + fullFor + time.Second)
			if alarms := r.store.Alarms.All(); len(alarms) > 0 {
				t.Errorf("it does not end: %v", alarms)
			}
			a.alive(1)
			b.alive(1)
			a2 := r.join("a") // takes the place of its older self
			a.closed(device.CloseReplaced)
			a2.alive(2)
			_ = b.conn.Close()
			eventually(t, "b is gone", func() bool { return r.hub.Connected() == 1 })
			r.join("c").alive(1)
		})
	}
}

func TestDeviceThatConnectsTooOften(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ConnectsPerDevice: 1e-6}}, "a", "b")
	var last *testDevice
	for i := range uint64(20) {
		last = r.connect("a")
		eventually(t, "the session", func() bool { // it begins behind the answer: the next one must not overtake it
			s := r.hub.sessions.find("a")
			return s != nil && s.number == i+1
		})
	}
	res, _ := r.get(r.upgradeLines(r.tokens["a"])...)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v", res.Status, res.Header)
	}
	last.greet(helloNow())
	last.alive(1)
	r.join("b").alive(1)
}

// The hub stops between the handshake of a device and its session: the device is told so, too.
func TestHubStopsDuringAHandshake(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	network := addressOf("192.0.2.1:1")
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.hub.reserve(w, req, "a", network) {
			t.Error("there is no room")
			return
		}
		r.stop()
		ended <- r.hub.upgrade(w, req, r.tokens["a"], "a", network)
	}))
	defer server.Close()
	r.addr = server.Listener.Addr().String()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, br := r.ask(conn, r.upgradeLines(r.tokens["a"])...)
	d := &testDevice{t: t, id: "a", conn: conn, br: br}
	d.closed(device.CloseGoingAway)
	_ = conn.Close()
	if err := <-ended; !errors.Is(err, errStopping) {
		t.Error(err)
	}
}
