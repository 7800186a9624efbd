package dashboard

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// Every route asks for its role, of people and of scripts alike.
func TestRolesOfRoutes(t *testing.T) {
	s := newSite(t)
	type who struct {
		name string
		rank int // 0: nobody
		*caller
	}
	callers := []who{{"nobody", 0, s.caller()}}
	for i, role := range []accounts.Role{accounts.RoleViewer, accounts.RoleOperator, accounts.RoleAdmin} {
		key, err := s.store.Accounts.AddAPIKey("key-"+string(role), role)
		if err != nil {
			t.Fatal(err)
		}
		callers = append(callers, who{string(role), i + 1, s.loggedIn(string(role))}, who{"key of " + string(role), i + 1, s.withKey(key)})
	}
	const nobody, viewer, admin = 0, 1, 3
	for _, route := range []struct {
		method, path string
		rank         int
		in           any
		granted      int // status for who is granted it
	}{
		{"GET", "/api/v1/session", viewer, nil, http.StatusOK},
		{"POST", "/api/v1/session", nobody, "x", http.StatusBadRequest},
		{"POST", "/api/v1/setup", nobody, "x", http.StatusBadRequest},
		{"POST", "/api/v1/password", viewer, "x", http.StatusBadRequest},
		{"GET", "/api/v1/users", admin, nil, http.StatusOK},
		{"POST", "/api/v1/users", admin, map[string]string{"name": "viewer", "password": password, "role": "viewer"}, http.StatusConflict},
		{"PATCH", "/api/v1/users/none", admin, map[string]string{"role": "admin"}, http.StatusNotFound},
		{"DELETE", "/api/v1/users/none", admin, nil, http.StatusNotFound},
		{"GET", "/api/v1/apikeys", admin, nil, http.StatusOK},
		{"POST", "/api/v1/apikeys", admin, map[string]string{"name": "key-viewer", "role": "viewer"}, http.StatusConflict},
		{"DELETE", "/api/v1/apikeys/none", admin, nil, http.StatusNotFound},
	} {
		for _, c := range callers {
			want := route.granted
			switch {
			case c.rank >= route.rank:
			case c.rank == 0:
				want = http.StatusUnauthorized
			default:
				want = http.StatusForbidden
			}
			if r := c.do(route.method, route.path, route.in); r.status != want {
				t.Errorf("%s %s by %s: %d, want %d: %s", route.method, route.path, c.name, r.status, want, r.body)
			}
		}
	}
}

func TestManageUsers(t *testing.T) {
	s := newSite(t)
	c := s.loggedIn("admin")
	type fields = map[string]string
	var made api.User
	c.do("POST", "/api/v1/users", fields{"name": "Lee", "password": password, "role": "viewer"}).wants(http.StatusCreated, &made)
	if want := (api.User{Name: "lee", Role: accounts.RoleViewer, Created: api.Millis(s.clock())}); made != want {
		t.Errorf("made %+v, want %+v", made, want)
	}
	for _, in := range []fields{
		{"name": "a b", "password": password, "role": "viewer"}, {"name": "park", "password": "short", "role": "viewer"},
		{"name": "park", "password": password, "role": "root"}, {"name": "park", "password": password}, {},
	} {
		c.do("POST", "/api/v1/users", in).wants(http.StatusBadRequest, nil)
	}
	var list []api.User
	c.do("GET", "/api/v1/users", nil).wants(http.StatusOK, &struct{ Users any }{&list})
	if len(list) != 4 || !slices.Contains(list, made) {
		t.Errorf("users %+v", list)
	}

	lee := s.loggedIn("lee")
	c.do("PATCH", "/api/v1/users/Lee", fields{"role": "operator"}).wants(http.StatusOK, &made)
	if made.Role != accounts.RoleOperator {
		t.Errorf("%+v", made)
	}
	var session api.Session
	if lee.do("GET", "/api/v1/session", nil).wants(http.StatusOK, &session); session.Role != accounts.RoleOperator {
		t.Errorf("an open session has the role %s", session.Role)
	}
	c.do("PATCH", "/api/v1/users/lee", fields{}).wants(http.StatusBadRequest, nil)
	c.do("PATCH", "/api/v1/users/lee", fields{"password": "short"}).wants(http.StatusBadRequest, nil)
	c.do("PATCH", "/api/v1/users/lee", fields{"password": "another horse"}).wants(http.StatusOK, nil)
	lee.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	lee.login("lee", "another horse").wants(http.StatusOK, nil)
	c.do("PATCH", "/api/v1/users/admin", fields{"password": "another horse"}).wants(http.StatusBadRequest, nil) // asks for no old one
	c.login("admin", password).wants(http.StatusOK, nil)

	c.do("DELETE", "/api/v1/users/lee", nil).wants(http.StatusNoContent, nil)
	lee.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	c.do("DELETE", "/api/v1/users/lee", nil).wants(http.StatusNotFound, nil)
	for _, r := range []*response{c.do("DELETE", "/api/v1/users/admin", nil), c.do("PATCH", "/api/v1/users/admin", fields{"role": "viewer"})} {
		r.wants(http.StatusConflict, nil)
	}
	c.do("GET", "/api/v1/users", nil).wants(http.StatusOK, nil)
}

func TestManageAPIKeys(t *testing.T) {
	s := newSite(t)
	c := s.loggedIn("admin")
	type fields = map[string]string
	var made api.APIKey
	c.do("POST", "/api/v1/apikeys", fields{"name": "reports", "role": "operator"}).wants(http.StatusCreated, &made)
	if made.Name != "reports" || made.Role != accounts.RoleOperator || !strings.HasPrefix(made.Key, "thk_") {
		t.Errorf("%+v", made)
	}
	for _, in := range []fields{{"name": "a b", "role": "viewer"}, {"name": "other", "role": "root"}, {"name": "other"}} {
		c.do("POST", "/api/v1/apikeys", in).wants(http.StatusBadRequest, nil)
	}
	script := s.withKey(made.Key)
	script.do("GET", "/api/v1/session", nil).wants(http.StatusOK, nil)
	var list []api.APIKey
	r := c.do("GET", "/api/v1/apikeys", nil).wants(http.StatusOK, &struct{ APIKeys any }{&list})
	now := api.Millis(s.clock())
	if want := []api.APIKey{{Name: "reports", Role: accounts.RoleOperator, Created: now, LastUsed: now}}; !slices.Equal(list, want) {
		t.Errorf("keys %+v, want %+v", list, want)
	}
	if strings.Contains(r.body, made.Key) {
		t.Error("the key is shown once more")
	}
	c.do("DELETE", "/api/v1/apikeys/reports", nil).wants(http.StatusNoContent, nil)
	script.do("GET", "/api/v1/session", nil).wants(http.StatusUnauthorized, nil)
	if log := s.logged.String(); strings.Contains(log, made.Key) || strings.Contains(log, password) {
		t.Errorf("the log has a secret:\n%s", log)
	}
}
