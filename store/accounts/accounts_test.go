package accounts

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/names"
)

func TestRoles(t *testing.T) {
	order := []Role{"", RoleViewer, RoleOperator, RoleAdmin}
	for i, have := range order {
		for j, need := range order {
			if want := i > 0 && j > 0 && i >= j; have.Allows(need) != want {
				t.Errorf("%q allows %q: %t", have, need, !want)
			}
		}
		if got, err := ParseRole(string(have)); (err == nil) != (i > 0) || err == nil && got != have {
			t.Errorf("ParseRole(%q): %q, %v", have, got, err)
		}
	}
	if Role("root").Allows(RoleViewer) || RoleAdmin.Allows("root") {
		t.Error("a role that does not exist allows something")
	}
}

func TestUsers(t *testing.T) {
	h := start(t, "", func() time.Time { return epoch })
	if h.HasUsers() {
		t.Error("a new store has users")
	}
	h.addUser(t, " Kim", RoleAdmin)
	h.addUser(t, "ops@example.com", RoleViewer)
	want := []User{{Name: "kim", Role: RoleAdmin, Created: epoch}, {Name: "ops@example.com", Role: RoleViewer, Created: epoch}}
	if got := h.Users(); !slices.Equal(got, want) || !h.HasUsers() {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range []struct {
		name, password string
		role           Role
		want           error
	}{
		{"", password, RoleViewer, names.ErrBad},
		{"a b", password, RoleViewer, names.ErrBad},
		{".a", password, RoleViewer, names.ErrBad},
		{"a/b", password, RoleViewer, names.ErrBad},
		{"a\x00", password, RoleViewer, names.ErrBad},
		{strings.Repeat("a", 65), password, RoleViewer, names.ErrBad},
		{"lee", password, "", ErrBadRole},
		{"lee", password, "root", ErrBadRole},
		{"lee", "1234567", RoleViewer, ErrBadPassword},
		{"lee", "가나다라마바사", RoleViewer, ErrBadPassword}, // 7 characters of 3 bytes
		{"lee", strings.Repeat("a", 129), RoleViewer, ErrBadPassword},
		{"lee", "Password123", RoleViewer, ErrBadPassword},
		{"lee.park", "Lee.Park", RoleViewer, ErrBadPassword},
		{"KIM", password, RoleViewer, ErrUserExists},
	} {
		if err := h.AddUser(c.name, c.password, c.role); !errors.Is(err, c.want) {
			t.Errorf("%q, %q, %q: %v, want %v", c.name, c.password, c.role, err, c.want)
		}
	}
	if err := h.SetPassword("kim", "short"); !errors.Is(err, ErrBadPassword) {
		t.Errorf("a short password: %v", err)
	}
	if err := h.SetRole("kim", "root", true); !errors.Is(err, ErrBadRole) {
		t.Errorf("a strange role: %v", err)
	}
	if err := h.AddUser("long", strings.Repeat("가", 42)+"ab", RoleViewer); err != nil { // 128 bytes
		t.Error(err)
	}
	for _, err := range []error{h.SetPassword("lee", password), h.SetRole("lee", RoleViewer, true), h.RemoveUser("lee", true)} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("%v, want ErrNoUser", err)
		}
	}
}

func TestLastAdmin(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleAdmin)
	h.addUser(t, "lee", RoleOperator)
	for _, err := range []error{h.RemoveUser("kim", false), h.SetRole("kim", RoleViewer, false)} {
		if !errors.Is(err, ErrLastAdmin) {
			t.Errorf("%v, want ErrLastAdmin", err)
		}
	}
	for _, err := range []error{
		h.SetRole("kim", RoleAdmin, false), h.RemoveUser("lee", false), h.RemoveUser("kim", true),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if h.HasUsers() {
		t.Errorf("left are %v", h.Users())
	}
	h.addUser(t, "kim", RoleAdmin)
	h.addUser(t, "lee", RoleAdmin)
	if err := h.SetRole("kim", RoleViewer, false); err != nil {
		t.Error(err)
	}
}

func TestAPIKeys(t *testing.T) {
	var c clock
	dir := t.TempDir()
	h := start(t, dir, c.now)
	key, err := h.AddAPIKey("reports", RoleViewer)
	if err != nil || !strings.HasPrefix(key, "thk_") || len(key) != 47 {
		t.Fatalf("%q, %v", key, err)
	}
	h.wantIdentity(t, key, "reports", RoleViewer)
	h.wantIdentity(t, key+"x", "", "")
	h.wantIdentity(t, "", "", "")
	if _, err := h.AddAPIKey("reports", RoleAdmin); !errors.Is(err, ErrAPIKeyExists) {
		t.Errorf("%v, want ErrAPIKeyExists", err)
	}
	if _, err := h.AddAPIKey("a b", RoleAdmin); !errors.Is(err, names.ErrBad) {
		t.Errorf("%v, want ErrBadName", err)
	}
	if _, err := h.AddAPIKey("other", "root"); !errors.Is(err, ErrBadRole) {
		t.Errorf("%v, want ErrBadRole", err)
	}
	if err := h.RemoveAPIKey("other"); !errors.Is(err, ErrNoAPIKey) {
		t.Errorf("%v, want ErrNoAPIKey", err)
	}
	c.pass(time.Hour)
	h.wantIdentity(t, key, "reports", RoleViewer)
	c.pass(30 * time.Second)
	h.wantIdentity(t, key, "reports", RoleViewer)
	want := []APIKey{{Name: "reports", Role: RoleViewer, Created: epoch, LastUsed: epoch.Add(time.Hour)}}
	if got := h.APIKeys(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	h.stop(t) // with a last checkpoint
	h = start(t, dir, c.now)
	if got := h.APIKeys(); !slices.Equal(got, want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
	id, err := h.Identify(key)
	if err != nil || id.Via != ViaKey || !id.Expires.IsZero() {
		t.Errorf("%+v, %v", id, err)
	}
	if err := h.RemoveAPIKey("reports"); err != nil {
		t.Fatal(err)
	}
	h.wantIdentity(t, key, "", "")
	if _, err := h.Recheck(id); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a removed key: %v", err)
	}
	// A checkpoint must not bring back what was used and removed since the one before.
	h.stop(t)
	h = start(t, dir, c.now)
	h.wantIdentity(t, key, "", "")
}

func TestSetupCode(t *testing.T) {
	dir := t.TempDir()
	h := start(t, dir, time.Now)
	setup := func(code, name, password string) (Identity, error) {
		_, id, err := h.Setup(t.Context(), code, name, password)
		return id, err
	}
	if _, err := setup("", "kim", password); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("without a code: %v", err)
	}
	first, err := h.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	code, err := h.NewSetupCode()
	if err != nil || code == first || len(code) < 43 {
		t.Fatalf("%q after %q, %v", code, first, err)
	}
	for _, wrong := range []string{"", first, code + "x", code[:len(code)-1]} {
		if _, err := setup(wrong, "kim", password); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("code %q: %v", wrong, err)
		}
	}
	if _, err := setup(code, "kim", "short"); !errors.Is(err, ErrBadPassword) { // which may be mended
		t.Errorf("a short password: %v", err)
	}
	id, err := setup(code, "Kim", password)
	if err != nil || id.Name != "kim" || id.Role != RoleAdmin || id.Via != ViaSession {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := setup(code, "lee", password); !errors.Is(err, ErrSetupDone) {
		t.Errorf("the second use: %v", err)
	}
	if _, err := h.NewSetupCode(); !errors.Is(err, ErrSetupDone) {
		t.Errorf("a code when there are users: %v", err)
	}
	// A code made before the first user is worth nothing after that user is gone.
	if err := h.RemoveUser("kim", true); err != nil {
		t.Fatal(err)
	}
	if _, err := setup(code, "lee", password); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("an old code: %v", err)
	}
	last, err := h.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	h.stop(t)
	h = start(t, dir, time.Now)
	if _, err := setup(last, "lee", password); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a code of another start: %v", err)
	}
}

func TestLoginCode(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "demo", RoleOperator)
	if _, err := h.NewLoginCode("nobody"); !errors.Is(err, ErrNoUser) {
		t.Errorf("%v, want ErrNoUser", err)
	}
	code, err := h.NewLoginCode("demo")
	if err != nil {
		t.Fatal(err)
	}
	secret, id, err := h.LoginWithCode(code)
	if err != nil || id.Name != "demo" || id.Role != RoleOperator {
		t.Fatalf("%+v, %v", id, err)
	}
	h.wantIdentity(t, secret, "demo", RoleOperator)
	h.wantIdentity(t, code, "", "")
	for _, c := range []string{code, "", secret} {
		if _, _, err := h.LoginWithCode(c); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%q: %v", c, err)
		}
	}
	code, err = h.NewLoginCode("demo")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveUser("demo", true); err != nil {
		t.Fatal(err)
	}
	h.addUser(t, "demo", RoleAdmin)
	if _, _, err := h.LoginWithCode(code); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a code of a user who was removed: %v", err)
	}
}
