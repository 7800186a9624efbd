package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func TestLogin(t *testing.T) {
	s := newSite(t)
	c := s.caller()
	c.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	var got api.Session
	r := c.login("Operator", password).wants(http.StatusOK, &got)
	want := api.Session{
		User: "operator", Role: accounts.RoleOperator, Via: "session", Version: "v1.2.3", Now: api.Millis(s.clock()),
		Expires: api.Millis(s.clock().Add(7 * 24 * time.Hour)),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if k := r.cookie; k == nil || !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" ||
		k.MaxAge < 7*24*3600 {
		t.Errorf("the cookie is %v", r.cookie)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", r.header.Get("Cache-Control"))
	}
	c.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	secret := c.cookie
	if r := c.do("DELETE", "/api/v1/session", nil).wants(http.StatusNoContent, nil); r.cookie == nil || r.cookie.MaxAge >= 0 || r.cookie.Value != "" {
		t.Errorf("logging out left the cookie %v", r.cookie)
	}
	c.cookie = secret
	c.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
}

func TestLoginRefused(t *testing.T) {
	s := newSite(t)
	c := s.caller()
	want := c.login("viewer", "wrong").wants(http.StatusUnauthorized, nil)
	for _, in := range []map[string]string{
		{"user": "nobody", "password": password}, {"user": "viewer", "password": ""}, {}, {"user": "viewer"},
	} {
		if r := c.do("POST", "/api/v1/session", in).wants(http.StatusUnauthorized, nil); r.body != want.body || r.cookie != nil {
			t.Errorf("%v: %s, cookie %v; want %s", in, r.body, r.cookie, want.body)
		}
	}
	for _, in := range []any{nil, "text", []int{1}, map[string]any{"user": 1}, map[string]string{"name": "viewer"}} {
		c.do("POST", "/api/v1/session", in).wants(http.StatusBadRequest, nil)
	}
	c.do("POST", "/api/v1/session", map[string]string{"user": strings.Repeat("a", 64<<10)}).wants(http.StatusRequestEntityTooLarge, nil)
	c.do("PUT", "/api/v1/session", nil)
	if log := s.logged.String(); strings.Contains(log, "nobody") || strings.Contains(log, "wrong") || !strings.Contains(log, "user=viewer") {
		t.Errorf("the log has names that are no user's, passwords, or not whose login failed:\n%s", log)
	}
}

// A session that somebody else prepared in this browser must not become that of who logs in, nor stay.
func TestLoginMakesANewSession(t *testing.T) {
	s := newSite(t)
	prepared := s.loggedIn("viewer").cookie
	c := s.caller()
	c.cookie = prepared
	c.login("admin", password).wants(http.StatusOK, nil)
	if c.cookie == prepared {
		t.Error("the session is the prepared one")
	}
	if id, err := s.store.Accounts.Identify(prepared); err == nil {
		t.Errorf("the prepared session is still that of %s", id.Name)
	}
	c.cookie = "ths_made-up"
	c.login("admin", password).wants(http.StatusOK, nil)
	if c.cookie == "ths_made-up" {
		t.Error("the session is the made-up one")
	}
}

func TestSessionEnds(t *testing.T) {
	s := newSite(t)
	c := s.loggedIn("viewer")
	s.pass(23 * time.Hour)
	c.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	s.pass(25 * time.Hour)
	var body struct{ Setup bool }
	r := c.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, &body)
	if body.Setup || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("%s, WWW-Authenticate %q", r.body, r.header.Get("WWW-Authenticate"))
	}
	c.login("viewer", password).wants(http.StatusOK, nil)
}

func TestSecretsHaveTheirPlaces(t *testing.T) {
	s := newSite(t)
	key, err := s.store.Accounts.AddAPIKey("script", accounts.RoleViewer)
	if err != nil {
		t.Fatal(err)
	}
	browser := s.loggedIn("viewer")
	var got api.Session
	s.withKey(key).do("GET", "/api/v1/session", nil).wants(http.StatusOK, &got)
	if got.User != "script" || got.Via != "key" || got.Expires != 0 {
		t.Errorf("%+v", got)
	}
	lower := s.caller()
	lower.header.Set("Authorization", "bearer  "+key)
	lower.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	s.withKey(browser.cookie).do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	asCookie := s.caller()
	asCookie.cookie = key
	asCookie.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	s.caller().do("GET", "/api/v1/session?key="+key, nil).wants(http.StatusUnauthorized, nil)

	// A key that is wrong is not made good by a cookie; what a proxy asked for is not the hub's.
	browser.header.Set("Authorization", "Bearer thk_wrong")
	browser.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	browser.header.Set("Authorization", "Basic dTpw")
	browser.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	if log := s.logged.String(); strings.Contains(log, key) || strings.Contains(log, browser.cookie) {
		t.Errorf("the log has a secret:\n%s", log)
	}
}

func TestLoginLink(t *testing.T) {
	s := newSite(t)
	code, err := s.store.Accounts.NewLoginCode("operator")
	if err != nil {
		t.Fatal(err)
	}
	c := s.caller()
	var got api.Session
	c.do("POST", "/api/v1/session", map[string]string{"link": code}).wants(http.StatusOK, &got)
	if got.User != "operator" || got.Role != accounts.RoleOperator {
		t.Errorf("%+v", got)
	}
	c.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	for _, used := range []string{code, "x"} {
		if r := s.caller().do("POST", "/api/v1/session", map[string]string{"link": used}).wants(http.StatusUnauthorized, nil); r.cookie != nil {
			t.Errorf("a used link gives the cookie %v", r.cookie)
		}
	}
	if strings.Contains(s.logged.String(), code) {
		t.Error("the log has the link")
	}
}

func TestSetup(t *testing.T) {
	s := emptySite(t)
	c := s.caller()
	var body struct{ Setup bool }
	if c.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, &body); !body.Setup {
		t.Error("the page is not told that there are no users")
	}
	setup := func(link, user, password string) *response {
		return c.do("POST", "/api/v1/setup", map[string]string{"link": link, "user": user, "password": password})
	}
	setup("", "kim", password).wants(http.StatusUnauthorized, nil)
	code, err := s.store.Accounts.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	setup("x"+code, "kim", password).wants(http.StatusUnauthorized, nil)
	setup(code, "kim", "short").wants(http.StatusBadRequest, nil)
	setup(code, "k i m", password).wants(http.StatusBadRequest, nil)
	if s.store.Accounts.HasUsers() {
		t.Fatal("a refused setup made a user")
	}
	var got api.Session
	setup(code, "Kim", password).wants(http.StatusOK, &got)
	if got.User != "kim" || got.Role != accounts.RoleAdmin {
		t.Errorf("%+v", got)
	}
	c.do("GET", "/api/v1/users", nil).wants(http.StatusOK, nil)
	if r := setup(code, "lee", password).wants(http.StatusConflict, nil); r.cookie != nil {
		t.Errorf("the second setup gives the cookie %v", r.cookie)
	}
	if len(s.store.Accounts.Users()) != 1 {
		t.Errorf("users %v", s.store.Accounts.Users())
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, other := s.loggedIn("viewer"), s.loggedIn("viewer")
	change := func(c *caller, old, fresh string) *response {
		return c.do("POST", "/api/v1/password", map[string]string{"old": old, "new": fresh})
	}
	change(s.caller(), password, "another horse").wants(http.StatusUnauthorized, nil)
	change(c, "wrong", "another horse").wants(http.StatusForbidden, nil)
	change(c, password, "short").wants(http.StatusBadRequest, nil)
	c.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	before := c.cookie
	change(c, password, "another horse").wants(http.StatusOK, nil)
	if c.cookie == before {
		t.Error("the session is the old one")
	}
	c.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	other.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	s.caller().login("viewer", password).wants(http.StatusUnauthorized, nil)
	s.caller().login("viewer", "another horse").wants(http.StatusOK, nil)
	key, err := s.store.Accounts.AddAPIKey("viewer", accounts.RoleAdmin) // named like the user
	if err != nil {
		t.Fatal(err)
	}
	change(s.withKey(key), "another horse", password).wants(http.StatusForbidden, nil)
	// Whoever has only the session can't guess the password at will.
	for range perSession.Burst {
		change(c, "wrong", password)
	}
	change(c, "another horse", password).wants(http.StatusTooManyRequests, nil)
}

// Who comes when too many passwords are being checked has not guessed wrong.
func TestBusyLogin(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest("POST", "/api/v1/session", nil)
	for range 2 * perUser.Burst {
		w := httptest.NewRecorder()
		err := s.throttled(w, r, "viewer", func(context.Context) error { return accounts.ErrBusy })
		if err != errAnswered || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Fatalf("%v, %d %v", err, w.Code, w.Header())
		}
	}
}
