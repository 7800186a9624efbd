package dashboard

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

const password = "correct horse"

// site is a dashboard on a TLS server, with a clock that tests move.
type site struct {
	*Dashboard
	t      *testing.T
	server *httptest.Server
	logged *lockedBuffer

	mu   sync.Mutex
	time time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

// newSite serves a dashboard with users of the three roles, called like their roles, until the test ends.
func newSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	for _, role := range []accounts.Role{accounts.RoleViewer, accounts.RoleOperator, accounts.RoleAdmin} {
		if err := s.store.Accounts.AddUser(string(role), password, role); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// emptySite is newSite without users.
func emptySite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, logged: &lockedBuffer{}, time: time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)}
	log := slog.New(slog.NewTextHandler(s.logged, nil))
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, CommitWindow: 5 * time.Millisecond, Logger: log, Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storetest.Run(t, st))
	cert, err := certificate.Open(certificate.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Dashboard, err = New(Config{Store: st, Certificate: cert, Names: []string{"Gateway.Lan"}, Version: "v1.2.3", Logger: log, Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	s.keepApart()
	s.server = httptest.NewUnstartedServer(s.Handler())
	s.server.TLS = cert.TLSConfig()
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// keepApart sees to it that those whom tests count wrong passwords of do not share a slot of the throttle by chance.
func (s *site) keepApart() {
	for apart := false; !apart; {
		s.throttle = limit.NewThrottle(s.store.Clock().View().Now)
		slots := map[int]bool{}
		count := func(a limit.Allowance, who string) { slots[s.throttle.Suspect(a, who).Slot] = true }
		names := []string{"viewer", "operator", "admin", "nobody"}
		for i := range perAddress.Burst {
			names = append(names, fmt.Sprint("user-", i))
		}
		addresses := []string{"127.0.0.1/32", "127.0.2.1/32"}
		for i := range perUser.Burst {
			addresses = append(addresses, fmt.Sprintf("127.0.1.%d/32", i+1))
		}
		for _, name := range names {
			count(perUser, name)
		}
		for _, address := range addresses {
			count(perAddress, address)
		}
		apart = len(slots) == len(names)+len(addresses)
	}
}

// caller is a browser or a script.
type caller struct {
	s      *site
	client *http.Client
	cookie string      // "" or the session's secret, kept like a browser does
	header http.Header // sent with every request
}

func (s *site) caller() *caller { return s.callerFrom("127.0.0.1") }

// callerFrom calls from one of the addresses of the loopback network.
func (s *site) callerFrom(address string) *caller {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
			return dialer.DialContext(ctx, network, s.server.Listener.Addr().String())
		},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &caller{s: s, client: &http.Client{Transport: transport}, header: http.Header{}}
}

// withKey is a script with an API key.
func (s *site) withKey(key string) *caller {
	c := s.caller()
	c.header.Set("Authorization", "Bearer "+key)
	return c
}

// loggedIn is a browser in which the user is logged in.
func (s *site) loggedIn(user string) *caller {
	s.t.Helper()
	c := s.caller()
	if r := c.login(user, password); r.status != http.StatusOK {
		s.t.Fatalf("log in as %s: %d %s", user, r.status, r.body)
	}
	return c
}

func (c *caller) login(user, password string) *response {
	return c.do("POST", "/api/v1/session", map[string]string{"user": user, "password": password})
}

// response is an answer, read to its end.
type response struct {
	t      *testing.T
	status int
	header http.Header
	body   string
	cookie *http.Cookie // the session cookie it sets, if any
}

// do sends in as JSON.
func (c *caller) do(method, path string, in any) *response {
	c.s.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			c.s.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.s.t.Context(), method, c.s.server.URL+path, body)
	if err != nil {
		c.s.t.Fatal(err)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if host := c.header.Get("Host"); host != "" {
		req.Host = host
	}
	if c.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "__Host-session", Value: c.cookie})
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.s.t.Fatal(err)
	}
	r := &response{t: c.s.t, status: resp.StatusCode, header: resp.Header, body: string(b)}
	for _, cookie := range resp.Cookies() {
		if cookie.Name != "__Host-session" {
			c.s.t.Errorf("%s %s sets the cookie %s", method, path, cookie.Name)
		}
		r.cookie, c.cookie = cookie, cookie.Value
	}
	return r
}

// wants checks the status and reads the body into v, if it is not nil.
func (r *response) wants(status int, v any) *response {
	r.t.Helper()
	if r.status != status {
		r.t.Errorf("status %d, want %d: %s", r.status, status, r.body)
		return r
	}
	if status >= 400 {
		var p api.Problem
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Detail == "" {
			r.t.Errorf("%d without an error: %s", r.status, r.body)
		}
	}
	if v != nil {
		if err := json.Unmarshal([]byte(r.body), v); err != nil {
			r.t.Errorf("%v: %s", err, r.body)
		}
	}
	return r
}
