package client

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

func TestUsers(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if list, err := c.Users(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("Users: %v, %v", list, err)
	}
	add := func(name, password string, role accounts.Role) error { return c.AddUser(ctx, name, password, role) }
	if err := add("Kim@example.com", "correct horse", accounts.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	wantError(t, add("Kim@example.com", "correct horse", accounts.RoleAdmin), http.StatusConflict, "kim@example.com", "another name")
	wantError(t, add("a b", "correct horse", accounts.RoleViewer), http.StatusBadRequest, "", "")
	wantError(t, add("lee", "correct horse", "root"), http.StatusBadRequest, "", "")
	wantError(t, add("lee", "short", accounts.RoleViewer), http.StatusBadRequest, "", "")
	wantError(t, add(strings.Repeat("a", 1<<20), "correct horse", accounts.RoleViewer), http.StatusRequestEntityTooLarge, "too large", "")
	if list, err := c.Users(ctx); err != nil || len(list) != 1 || list[0].Name != "kim@example.com" || list[0].Role != accounts.RoleAdmin {
		t.Errorf("Users: %v, %v", list, err)
	}
	secret, _, err := st.Accounts.Login(ctx, "kim@example.com", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetPassword(ctx, "Kim@example.com", "another horse"); err != nil {
		t.Fatal(err)
	}
	if id, err := st.Accounts.Identify(secret); err == nil {
		t.Errorf("a session outlived its password: %+v", id)
	}
	if err := st.Accounts.CheckPassword(ctx, "kim@example.com", "another horse"); err != nil {
		t.Error(err)
	}
	wantError(t, c.SetPassword(ctx, "kim@example.com", "short"), http.StatusBadRequest, "too short", "")
	wantError(t, c.SetPassword(ctx, "no one/../users", "another horse"), http.StatusNotFound, "no such user", "")
	if err := c.RemoveUser(ctx, "kim@example.com"); err != nil { // the last admin, too
		t.Fatal(err)
	}
	wantError(t, c.RemoveUser(ctx, "kim@example.com"), http.StatusNotFound, "no such user", "")
	wantTrail(t, st, "user added kim@example.com, admin", "user password set kim@example.com", "user removed kim@example.com")
}

// wantTrail checks the audit trail, the oldest entry first.
func wantTrail(t *testing.T, st *store.Store, want ...string) {
	t.Helper()
	entries, err := st.Audit.Entries(audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range slices.Backward(entries) {
		if e.From != "command line" || e.By == "" {
			t.Errorf("%s is by %q from %q", e.Action, e.By, e.From)
		}
		got = append(got, e.Action+" "+e.Text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit trail has %q, want %q", got, want)
	}
}

func TestAPIKeys(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	made, err := c.AddAPIKey(ctx, "script", accounts.RoleOperator)
	if err != nil || made.Name != "script" {
		t.Fatalf("AddAPIKey: %v, %v", made, err)
	}
	if id, err := st.Accounts.Identify(made.Key); err != nil || id.Name != "script" || id.Role != accounts.RoleOperator {
		t.Errorf("the key is %+v's, %v", id, err)
	}
	_, err = c.AddAPIKey(ctx, "script", accounts.RoleViewer)
	wantError(t, err, http.StatusConflict, "script", "remove the key")
	_, err = c.AddAPIKey(ctx, "other", "")
	wantError(t, err, http.StatusBadRequest, "bad role", "")
	list, err := c.APIKeys(ctx)
	if err != nil || !slices.EqualFunc(list, []string{"script"}, func(k api.APIKey, name string) bool { return k.Name == name && k.LastUsed != 0 }) {
		t.Errorf("APIKeys: %v, %v", list, err)
	}
	if err := c.RemoveAPIKey(ctx, "script"); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.RemoveAPIKey(ctx, "script"), http.StatusNotFound, "no such API key", "")
}
