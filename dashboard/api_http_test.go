package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// raw sends a request as it is, without what Go's client adds to it, and returns the answer and its body as it came.
func (a *apiRig) raw(method, path string, header map[string]string) (*http.Response, []byte) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+a.addr+"/api/v1"+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp, body
}

func TestAnswersAreCompressed(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	fillDownload(a)
	auth := "Bearer " + a.key
	for path, worth := range map[string]bool{"/openapi.json": true, "/readings.csv?device=s&limit=1000": true, "/readings.ndjson?device=s&limit=1000": true, "/session": false, "/devices/none": false} {
		plain, want := a.raw("GET", path, map[string]string{"Authorization": auth})
		if got := plain.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("%s is %s for who does not take that", path, got)
		}
		for accepted, coding := range map[string]string{"gzip": "gzip", "gzip, br": "br", "br;q=0, gzip": "gzip", "zstd": ""} {
			resp, body := a.raw("GET", path, map[string]string{"Authorization": auth, "Accept-Encoding": accepted})
			if !worth {
				coding = ""
			}
			if got := resp.Header.Get("Content-Encoding"); got != coding || resp.StatusCode != plain.StatusCode || !strings.Contains(resp.Header.Get("Vary"), "Accept-Encoding") {
				t.Errorf("%s with %s: %s, coding %q, Vary %q", path, accepted, resp.Status, got, resp.Header.Get("Vary"))
				continue
			}
			var reader io.Reader = bytes.NewReader(body)
			switch coding {
			case "gzip":
				zip, err := gzip.NewReader(reader)
				if err != nil {
					t.Fatal(err)
				}
				reader = zip
			case "br":
				reader = brotli.NewReader(reader)
			}
			got, err := io.ReadAll(reader)
			if path != "/session" && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("%s with %s: %d bytes, want %d: %v", path, accepted, len(got), len(want), err)
			}
			if coding != "" && len(body) > len(want)/2 {
				t.Errorf("%s with %s: %d bytes of %d", path, accepted, len(body), len(want))
			}
		}
	}
}

func TestUnchanged(t *testing.T) {
	a := newAPI(t, rigOptions{})
	for _, path := range []string{"/openapi.json", "/certificate"} {
		resp, _ := a.raw("GET", path, map[string]string{"Authorization": "Bearer " + a.key})
		tag := resp.Header.Get("ETag")
		resp, body := a.raw("GET", path, map[string]string{"Authorization": "Bearer " + a.key, "If-None-Match": `"x", ` + tag})
		if tag == "" || resp.StatusCode != http.StatusNotModified || len(body) > 0 {
			t.Errorf("%s: %q, %s", path, tag, resp.Status)
		}
		if resp, _ := a.raw("GET", path, map[string]string{"Authorization": "Bearer " + a.key, "If-None-Match": `"x"`}); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// TestOtherOrigins has pages of other origins ask: those that are let in read and change things with a key, never with a session.
func TestOtherOrigins(t *testing.T) {
	s := newSite(t)
	s.origins = []string{"https://plant.example"}
	key, err := s.store.Accounts.AddAPIKey("page", "admin")
	if err != nil {
		t.Fatal(err)
	}
	session := s.loggedIn("admin").cookie
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	ask := func(method, path, origin, key, cookie string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(`{"name":"x","role":"viewer"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		if cookie != "" {
			req.AddCookie(&http.Cookie{Name: sessionCookie, Value: cookie})
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	const good, evil = "https://plant.example", "https://evil.example"
	for _, c := range []struct {
		method, path, origin, key, cookie string
		status                            int
		allowed                           bool
	}{
		{"OPTIONS", "/api/v1/devices", good, "", "", 204, true},
		{"OPTIONS", "/api/v1/devices", evil, "", "", 405, false},
		{"GET", "/api/v1/session", good, key, "", 200, true},
		{"POST", "/api/v1/apikeys", good, key, "", 201, true},
		{"GET", "/api/v1/session", good, "", session, 401, true},
		{"POST", "/api/v1/apikeys", good, "", session, 401, true},
		{"GET", "/api/v1/session", evil, key, "", 200, false},
		{"POST", "/api/v1/apikeys", evil, key, "", 403, false},
		{"GET", "/", good, "", "", 200, false},
	} {
		resp := ask(c.method, c.path, c.origin, c.key, c.cookie)
		if allowed := resp.Header.Get("Access-Control-Allow-Origin") == c.origin; resp.StatusCode != c.status || allowed != c.allowed || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s from %s: %s, allowed %v", c.method, c.path, c.origin, resp.Status, allowed)
		}
	}
	for _, bad := range []string{"plant.example", "https://plant.example/", "*"} {
		if _, err := New(Config{Store: s.store, Origins: []string{bad}}); err == nil {
			t.Errorf("%s is taken for an origin", bad)
		}
	}
}
