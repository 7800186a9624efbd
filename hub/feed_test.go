package hub

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// events waits until the newest events of a device are of these kinds, newest first, and returns them.
func (r *rig) events(id string, kinds ...string) (list []live.Event) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%q has the events %v", id, kinds), func() bool {
		list = r.feed.Events(id, len(kinds))
		for i := range list {
			if list[i].Kind != kinds[i] {
				return false
			}
		}
		return len(list) == len(kinds)
	})
	return list
}

// Most devices give no reason, and some no code.
func TestHowADeviceLeft(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a")
	for _, c := range []struct{ payload, want string }{
		{"\x03\xe8bye", `closed by the device with 1000 "bye"`},
		{"\x03\xe8", "closed by the device with 1000"},
		{"", "closed by the device"},
	} {
		r.join("a").write(8, []byte(c.payload))
		if e := r.events("a", "disconnected", "connected"); e[0].Text != c.want {
			t.Errorf("%q: %q", c.payload, e[0].Text)
		}
	}
}

func TestFeedFollowsADevice(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a")
	v := r.feed.Viewer()
	defer v.Close()
	if err := v.Subscribe("1", "/topic/devices/a/readings", nil, nil); err != nil {
		t.Fatal(err)
	}
	d := r.join("a")
	d.alive(1)
	var last live.DeviceUpdate
	eventually(t, "the viewer sees the reading", func() bool {
		select {
		case <-v.C():
		case <-time.After(patience):
			return false
		}
		for _, u := range v.Take(nil) {
			if err := json.Unmarshal(u.Body, &struct {
				*live.DeviceUpdate
				Points any `json:"points"`
			}{DeviceUpdate: &last}); err != nil {
				t.Fatal(err)
			}
		}
		return last.Device != nil && last.Device.State == live.StateLive && len(last.Device.Values) > 0
	})
	if e := r.events("a", "connected"); !strings.HasPrefix(e[0].Address, "127.0.0.1:") {
		t.Errorf("%+v", e)
	}
	again, hello := r.connect("a"), helloNow()
	hello.Next = 2
	again.greet(hello)
	d.closed(device.CloseReplaced)
	r.events("a", "replaced", "connected")
	again.alive(2)
	_ = again.conn.Close()
	if e := r.events("a", "disconnected", "replaced", "connected"); e[0].Text == "" {
		t.Errorf("%+v", e)
	}
	eventually(t, "it is offline", func() bool { d, _ := r.feed.Device("a"); return d.Device.State == live.StateOffline })
	hello = helloNow()
	hello.Next = 3
	hello.Now += time.Hour.Microseconds()
	r.connect("a").greet(hello)
	if e := r.events("a", "clock", "connected"); !strings.Contains(e[0].Text, "1h0m0s") {
		t.Errorf("%+v", e)
	}
}

func TestFeedIsToldOfRefusals(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "revoked")
	if err := r.store.Devices.Revoke("revoked"); err != nil {
		t.Fatal(err)
	}
	r.get(r.upgradeLines("guess")...)
	if e := r.events("", "refused"); e[0].Address != "127.0.0.1" || !strings.HasPrefix(e[0].Text, "401: ") || strings.Contains(e[0].Text, "guess") || e[0].Device != "" {
		t.Errorf("%+v", e)
	}
	r.get(r.upgradeLines(r.tokens["revoked"])...)
	if e := r.events("revoked", "refused"); !strings.HasPrefix(e[0].Text, "403: ") {
		t.Errorf("%+v", e)
	}
	// A client that does not trust the certificate.
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12})
	if err == nil {
		_ = conn.Close()
		t.Fatal("the certificate is trusted")
	}
	if e := r.events("", "tls", "refused", "refused"); !strings.Contains(e[0].Text, "bad certificate") || e[0].Address != "127.0.0.1" {
		t.Errorf("%+v", e)
	}
}

func TestTLSFailures(t *testing.T) {
	for line, want := range map[string][2]string{
		"http: TLS handshake error from 192.0.2.1:5: remote error: tls: bad certificate":                            {"192.0.2.1:5", "remote error: tls: bad certificate"},
		"http: TLS handshake error from [2001:db8::1]:5: tls: first record does not look like a TLS one":            {"[2001:db8::1]:5", "tls: first record does not look like a TLS one"},
		"http: TLS handshake error from 192.0.2.1:5: EOF":                                                           {},
		"http: TLS handshake error from 192.0.2.1:5: read tcp 1.2.3.4:5->6.7.8.9:1: read: connection reset by peer": {},
		"http: panic serving 192.0.2.1:5: oh":                                                                       {},
		"":                                                                                                          {},
	} {
		address, reason, ok := tlsFailure(line)
		if ok != (want != [2]string{}) || address != want[0] || reason != want[1] {
			t.Errorf("%q: %q, %q, %v", line, address, reason, ok)
		}
	}
}

// What is not for devices is served beside them, by the same listener.
func TestOther(t *testing.T) {
	r := newRig(t, rigOptions{other: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %v", r.Method, r.URL, body, err)
	})}, "a")
	d := r.join("a")
	res, body := r.get("POST /page?x=1 HTTP/1.1", "Host: x", "Connection: close", "Content-Length: 2", "", "hi")
	if res.StatusCode != 200 || body != `POST /page?x=1 "hi" <nil>` {
		t.Errorf("%v %q", res.Status, body)
	}
	if res, _ = r.get("GET "+device.Path+" HTTP/1.1", "Host: x"); res.StatusCode != 426 {
		t.Errorf("%v", res.Status)
	}
	d.alive(1)
}
