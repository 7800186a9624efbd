package dashboard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
)

// What changes the hub over REST is in the audit trail: who did it, from where, and what.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	a := newAPI(t, rigOptions{}, "a")
	a.reject("a")
	code, err := a.store.Accounts.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	type fields = map[string]string
	a.call("", "POST", "/setup", fields{"link": code, "user": "Root", "password": password}).wants(200, nil)
	a.call("", "POST", "/password", fields{"old": password, "new": password + "2"}).wants(200, nil)
	a.call("", "DELETE", "/session", nil).wants(204, nil)
	a.call("", "POST", "/session", fields{"user": "root", "password": password}).wants(401, nil)
	a.call("", "POST", "/session", fields{"user": "root", "password": password + "2"}).wants(200, nil)
	const page, rest = "127.0.0.1 (page)", "127.0.0.1 (REST)"
	a.wantEntries(
		[4]string{"user added", "root", page, "root, admin, with the setup link"},
		[4]string{"user password set", "root", page, "root"},
	)
	a.call("", "POST", "/users", fields{"name": "Anna", "password": password, "role": "viewer"}).wants(201, nil)
	a.call("", "PATCH", "/users/anna", fields{"role": "operator", "password": password + "3"}).wants(200, nil)
	a.call("admin", "DELETE", "/users/anna", nil).wants(204, nil)
	a.call("admin", "POST", "/apikeys", fields{"name": "script", "role": "viewer"}).wants(201, nil)
	a.call("admin", "DELETE", "/apikeys/script", nil).wants(204, nil)
	a.wantEntries(
		[4]string{"user added", "root", page, "anna, viewer"},
		[4]string{"user role changed", "root", page, "anna, operator"},
		[4]string{"user password set", "root", page, "anna"},
		[4]string{"user removed", "API key test-admin", rest, "anna"},
		[4]string{"API key added", "API key test-admin", rest, "script, viewer"},
		[4]string{"API key removed", "API key test-admin", rest, "script"},
	)
	a.call("admin", "POST", "/devices", fields{"id": "b"}).wants(201, nil)
	a.call("admin", "POST", "/devices/b/rotate", nil).wants(200, nil)
	a.call("admin", "POST", "/devices/b/revoke", nil).wants(204, nil)
	a.call("admin", "DELETE", "/devices/b", nil).wants(204, nil)
	a.call("admin", "DELETE", "/devices/b", nil).wants(404, nil)
	a.call("admin", "DELETE", "/dead-letters?all=true", nil).wants(200, nil)
	a.wantEntries(
		[4]string{"device added", "API key test-admin", rest, ""},
		[4]string{"device token rotated", "API key test-admin", rest, ""},
		[4]string{"device revoked", "API key test-admin", rest, ""},
		[4]string{"device removed", "API key test-admin", rest, ""},
		[4]string{"dead letters dropped", "API key test-admin", rest, "1"},
	)

	var trail api.AuditEntries
	a.call("admin", "GET", "/audit?device=b&limit=3", nil).wants(200, &trail)
	if len(trail.Entries) != 3 || trail.Entries[0].Action != "device removed" || trail.Entries[0].Device != "b" || trail.Next == "" {
		t.Errorf("%+v", trail)
	}
	newest, next := trail.Entries[0], trail.Next
	trail = api.AuditEntries{}
	a.call("admin", "GET", fmt.Sprintf("/audit?device=b&limit=3&cursor=%s", next), nil).wants(200, &trail)
	if len(trail.Entries) != 1 || trail.Entries[0].Action != "device added" || trail.Next != "" {
		t.Errorf("%+v", trail)
	}
	trail = api.AuditEntries{}
	a.call("admin", "GET", fmt.Sprintf("/audit?after=%d", newest.Number), nil).wants(200, &trail)
	if len(trail.Entries) != 1 || trail.Entries[0].Action != "dead letters dropped" {
		t.Errorf("%+v", trail)
	}
	// Who follows the trail misses nothing, in however small steps.
	var followed []string
	for from := fmt.Sprintf("after=%d", newest.Number-4); from != ""; {
		trail = api.AuditEntries{}
		a.call("admin", "GET", "/audit?limit=2&"+from, nil).wants(200, &trail)
		for _, e := range trail.Entries {
			followed = append(followed, e.Action)
		}
		if from = ""; trail.Next != "" {
			from = "cursor=" + trail.Next
		}
	}
	if want := "device added, device token rotated, device revoked, device removed, dead letters dropped"; strings.Join(followed, ", ") != want {
		t.Errorf("followed: %v", followed)
	}
	trail = api.AuditEntries{}
	a.call("admin", "GET", fmt.Sprintf("/audit?since=%d", newest.At+1_000_000), nil).wants(200, &trail)
	if len(trail.Entries) != 0 {
		t.Errorf("%+v", trail)
	}
	r := a.call("admin", "GET", "/audit", nil)
	for _, secret := range []string{password, code, "thk_", "ths_"} {
		if strings.Contains(string(r.body), secret) {
			t.Errorf("the trail has the secret %q", secret)
		}
	}
}
