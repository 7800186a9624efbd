package dashboard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
)

// A page of another site can have its name point at the hub. The browser then takes the hub for that page's own server.
func TestOtherNamesAreRefused(t *testing.T) {
	s := newSite(t)
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	c := s.loggedIn("admin")
	for host, allowed := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8443": true, "[::1]:8443": true, "[::1]": true, "192.0.2.7:8443": true, "[fe80::1%25eth0]": true,
		"localhost": true, "localhost:1": true, "LOCALHOST": true, "localhost.": true,
		machine: true, machine + ":8443": true, machine + ".local": true, "gateway.lan": true, "GATEWAY.LAN:8443": true,
		"evil.example": false, "evil.example:8443": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"gateway.lan.evil.example": false, "evilgateway.lan": false, "sub.gateway.lan": false, "127.0.0.1@evil.example": false,
		"0x7f000001": false, "2130706433": false, "127.1": false,
	} {
		c.header.Set("Host", host)
		want := http.StatusMisdirectedRequest
		if allowed {
			want = http.StatusOK
		}
		for _, path := range []string{"/api/v1/users", "/"} {
			r := c.do("GET", path, nil)
			if r.status == http.StatusBadRequest && !allowed { // net/http itself refuses what is no host
				continue
			}
			if r.status != want {
				t.Errorf("Host %s: GET %s answers %d, want %d", host, path, r.status, want)
			}
			if !allowed && (!strings.Contains(r.body, "set names in the hub's configuration") || strings.Contains(r.body, "viewer")) {
				t.Errorf("Host %s: %s", host, r.body)
			}
		}
	}
}

func TestNamesOfTheCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"hub.example", "*.plant.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	if err := errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	cert, err := certificate.Open(certificate.Config{CertFile: certFile, KeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dashboard{certificate: cert}
	for host, want := range map[string]bool{
		"hub.example": true, "Hub.Example:8443": true, "north.plant.example": true,
		"plant.example": false, "a.north.plant.example": false, "evil.example": false, "": false, ":8443": false,
	} {
		if got := d.allowedHost(&http.Request{Host: host}); got != want {
			t.Errorf("Host %q: %t", host, got)
		}
	}
}

func TestForeignPagesChangeNothing(t *testing.T) {
	s := newSite(t)
	own := s.server.Listener.Addr().String()
	for _, c := range []struct {
		name    string
		header  map[string]string
		allowed bool
	}{
		{"a script", nil, true},
		{"own page", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://" + own}, true},
		{"typed address", map[string]string{"Sec-Fetch-Site": "none"}, true},
		{"own page, old browser", map[string]string{"Origin": "https://" + own}, true},
		{"other site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		{"other port", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://127.0.0.1:1"}, false},
		{"other site, old browser", map[string]string{"Origin": "https://evil.example"}, false},
		{"other port, old browser", map[string]string{"Origin": "https://127.0.0.1:1"}, false},
		{"own host by plain HTTP, old browser", map[string]string{"Origin": "http://" + own}, false},
		{"sandbox", map[string]string{"Origin": "null"}, false},
	} {
		browser := s.loggedIn("admin")
		for k, v := range c.header {
			browser.header.Set(k, v)
		}
		want := func(granted int) int {
			if c.allowed {
				return granted
			}
			return http.StatusForbidden
		}
		for _, change := range []struct {
			method, path string
			in           any
			granted      int
		}{
			{"POST", "/api/v1/apikeys", map[string]string{"name": "stolen", "role": "admin"}, http.StatusCreated},
			{"DELETE", "/api/v1/apikeys/stolen", nil, http.StatusNoContent},
			{"PATCH", "/api/v1/users/viewer", map[string]string{"role": "viewer"}, http.StatusOK},
			{"POST", "/api/v1/session", map[string]string{"user": "admin", "password": password}, http.StatusOK}, // into an account of theirs
			{"DELETE", "/api/v1/session", nil, http.StatusNoContent},
		} {
			if r := browser.do(change.method, change.path, change.in); r.status != want(change.granted) {
				t.Errorf("%s: %s %s answers %d, want %d: %s", c.name, change.method, change.path, r.status, want(change.granted), r.body)
			}
		}
		if r := browser.do("GET", "/api/v1/session", nil); !c.allowed && r.status != http.StatusOK {
			t.Errorf("%s: the session ended: %d", c.name, r.status)
		}
	}
	if keys := s.store.Accounts.APIKeys(); len(keys) != 0 {
		t.Errorf("keys were made: %v", keys)
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		host   string
		tls    bool
		header map[string]string
		want   bool
	}{
		{"hub.lan:8443", true, map[string]string{"Origin": "https://hub.lan:8443"}, true},
		{"hub.lan", true, map[string]string{"Origin": "https://hub.lan"}, true},
		{"HUB.lan", true, map[string]string{"Origin": "https://hub.lan"}, true},
		{"[::1]:8443", true, map[string]string{"Origin": "https://[::1]:8443"}, true},
		{"hub.lan", false, map[string]string{"Origin": "http://hub.lan"}, true},
		{"hub.lan:8443", true, map[string]string{"Origin": "http://hub.lan:8443"}, false},
		{"hub.lan:8443", true, map[string]string{"Origin": "https://hub.lan"}, false},
		{"hub.lan:8443", true, map[string]string{"Origin": "https://hub.lan:8444"}, false},
		{"hub.lan:8443", true, map[string]string{"Origin": "https://hub.lan:8443.evil.example"}, false},
		{"hub.lan:8443", true, map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, false},
		{"hub.lan:8443", true, map[string]string{"Origin": "null"}, false},
		{"hub.lan:8443", true, map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
		{"hub.lan:8443", true, map[string]string{"Sec-Fetch-Site": "same-site"}, false},
		{"hub.lan:8443", true, map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"hub.lan:8443", true, nil, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		if got := sameOrigin(r); got != c.want {
			t.Errorf("Host %s, TLS %t, %v: %t", c.host, c.tls, c.header, got)
		}
	}
}

// What strangers ask for in vain must not fill the log.
func TestRefusedRequestsFillNoLog(t *testing.T) {
	s := newSite(t)
	ask := func(method, path, host, body string, header map[string]string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Host, r.TLS = host, &tls.ConnectionState{}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	before := strings.Count(s.logged.String(), "\n")
	for range 100 {
		ask("GET", "/", "evil.example", "", nil)
		ask("POST", "/api/v1/users", "localhost", "{}", map[string]string{"Origin": "https://evil.example"})
		ask("GET", "/v1/events", "localhost", "", map[string]string{"Origin": "https://evil.example"})
		ask("POST", "/api/v1/session", "localhost", `{"link":"guess"}`, map[string]string{"Content-Type": "application/json"})
	}
	lines := s.logged.String()
	if n := strings.Count(lines, "\n") - before; n > 20 || !strings.Contains(lines, "request refused") || !strings.Contains(lines, "login failed") {
		t.Errorf("%d lines: %s", n, lines)
	}
}
