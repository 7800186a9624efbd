package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
)

const password = "correct horse"

// clock is a clock that tests move while the store reads it.
type clock struct{ sinceEpoch atomic.Int64 }

func (c *clock) now() time.Time { return epoch.Add(time.Duration(c.sinceEpoch.Load())) }

func (c *clock) set(sinceEpoch time.Duration) { c.sinceEpoch.Store(int64(sinceEpoch)) }

func (c *clock) pass(d time.Duration) { c.sinceEpoch.Add(int64(d)) }

func addUser(t testing.TB, s *store.Store, name string, role store.Role) {
	t.Helper()
	if err := s.AddUser(name, password, role); err != nil {
		t.Fatal(err)
	}
}

func login(t testing.TB, s *store.Store, name, password string) (secret string, id store.Identity) {
	t.Helper()
	secret, id, err := s.Login(t.Context(), name, password)
	if err != nil {
		t.Fatalf("log in as %s: %v", name, err)
	}
	return secret, id
}

// wantIdentity checks whose secret it is; name "" stands for nobody's.
func wantIdentity(t testing.TB, s *store.Store, secret, name string, role store.Role) {
	t.Helper()
	id, err := s.Identify(secret)
	if name == "" {
		if !errors.Is(err, store.ErrUnauthenticated) {
			t.Errorf("got %+v, %v, want ErrUnauthenticated", id, err)
		}
		return
	}
	if err != nil || id.Name != name || id.Role != role {
		t.Errorf("got %+v, %v, want %s with the role %s", id, err, name, role)
	}
}

func TestRoles(t *testing.T) {
	order := []store.Role{"", store.RoleViewer, store.RoleOperator, store.RoleAdmin}
	for i, have := range order {
		for j, need := range order {
			if want := i > 0 && j > 0 && i >= j; have.Allows(need) != want {
				t.Errorf("%q allows %q: %t", have, need, !want)
			}
		}
		if got, err := store.ParseRole(string(have)); (err == nil) != (i > 0) || err == nil && got != have {
			t.Errorf("ParseRole(%q): %q, %v", have, got, err)
		}
	}
	if store.Role("root").Allows(store.RoleViewer) || store.RoleAdmin.Allows("root") {
		t.Error("a role that does not exist allows something")
	}
}

func TestUsers(t *testing.T) {
	h := start(t, store.Options{Now: func() time.Time { return epoch }})
	if h.HasUsers() {
		t.Error("a new store has users")
	}
	addUser(t, h.Store, " Kim", store.RoleAdmin)
	addUser(t, h.Store, "ops@example.com", store.RoleViewer)
	want := []store.User{{Name: "kim", Role: store.RoleAdmin, Created: epoch}, {Name: "ops@example.com", Role: store.RoleViewer, Created: epoch}}
	if got := h.Users(); !slices.Equal(got, want) || !h.HasUsers() {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range []struct {
		name, password string
		role           store.Role
		want           error
	}{
		{"", password, store.RoleViewer, store.ErrBadName},
		{"a b", password, store.RoleViewer, store.ErrBadName},
		{".a", password, store.RoleViewer, store.ErrBadName},
		{"a/b", password, store.RoleViewer, store.ErrBadName},
		{"a\x00", password, store.RoleViewer, store.ErrBadName},
		{strings.Repeat("a", 65), password, store.RoleViewer, store.ErrBadName},
		{"lee", password, "", store.ErrBadRole},
		{"lee", password, "root", store.ErrBadRole},
		{"lee", "1234567", store.RoleViewer, store.ErrBadPassword},
		{"lee", "가나다라마바사", store.RoleViewer, store.ErrBadPassword}, // 7 characters of 3 bytes
		{"lee", strings.Repeat("a", 129), store.RoleViewer, store.ErrBadPassword},
		{"lee", "Password123", store.RoleViewer, store.ErrBadPassword},
		{"lee.park", "Lee.Park", store.RoleViewer, store.ErrBadPassword},
		{"KIM", password, store.RoleViewer, store.ErrUserExists},
	} {
		if err := h.AddUser(c.name, c.password, c.role); !errors.Is(err, c.want) {
			t.Errorf("%q, %q, %q: %v, want %v", c.name, c.password, c.role, err, c.want)
		}
	}
	if err := h.SetPassword("kim", "short"); !errors.Is(err, store.ErrBadPassword) {
		t.Errorf("a short password: %v", err)
	}
	if err := h.SetRole("kim", "root", true); !errors.Is(err, store.ErrBadRole) {
		t.Errorf("a strange role: %v", err)
	}
	if err := h.AddUser("long", strings.Repeat("가", 42)+"ab", store.RoleViewer); err != nil { // 128 bytes
		t.Error(err)
	}
	for _, err := range []error{h.SetPassword("lee", password), h.SetRole("lee", store.RoleViewer, true), h.RemoveUser("lee", true)} {
		if !errors.Is(err, store.ErrNoUser) {
			t.Errorf("%v, want ErrNoUser", err)
		}
	}
}

func TestLastAdmin(t *testing.T) {
	h := start(t, store.Options{})
	addUser(t, h.Store, "kim", store.RoleAdmin)
	addUser(t, h.Store, "lee", store.RoleOperator)
	for _, err := range []error{h.RemoveUser("kim", false), h.SetRole("kim", store.RoleViewer, false)} {
		if !errors.Is(err, store.ErrLastAdmin) {
			t.Errorf("%v, want ErrLastAdmin", err)
		}
	}
	for _, err := range []error{
		h.SetRole("kim", store.RoleAdmin, false), h.RemoveUser("lee", false), h.RemoveUser("kim", true),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if h.HasUsers() {
		t.Errorf("left are %v", h.Users())
	}
	addUser(t, h.Store, "kim", store.RoleAdmin)
	addUser(t, h.Store, "lee", store.RoleAdmin)
	if err := h.SetRole("kim", store.RoleViewer, false); err != nil {
		t.Error(err)
	}
}

func TestAPIKeys(t *testing.T) {
	var c clock
	o := store.Options{Dir: t.TempDir(), Now: c.now}
	h := start(t, o)
	key, err := h.AddAPIKey("reports", store.RoleViewer)
	if err != nil || !strings.HasPrefix(key, "thk_") || len(key) != 47 {
		t.Fatalf("%q, %v", key, err)
	}
	wantIdentity(t, h.Store, key, "reports", store.RoleViewer)
	wantIdentity(t, h.Store, key+"x", "", "")
	wantIdentity(t, h.Store, "", "", "")
	if _, err := h.AddAPIKey("reports", store.RoleAdmin); !errors.Is(err, store.ErrAPIKeyExists) {
		t.Errorf("%v, want ErrAPIKeyExists", err)
	}
	if _, err := h.AddAPIKey("a b", store.RoleAdmin); !errors.Is(err, store.ErrBadName) {
		t.Errorf("%v, want ErrBadName", err)
	}
	if _, err := h.AddAPIKey("other", "root"); !errors.Is(err, store.ErrBadRole) {
		t.Errorf("%v, want ErrBadRole", err)
	}
	if err := h.RemoveAPIKey("other"); !errors.Is(err, store.ErrNoAPIKey) {
		t.Errorf("%v, want ErrNoAPIKey", err)
	}
	c.pass(time.Hour)
	wantIdentity(t, h.Store, key, "reports", store.RoleViewer)
	c.pass(30 * time.Second)
	wantIdentity(t, h.Store, key, "reports", store.RoleViewer)
	want := []store.APIKey{{Name: "reports", Role: store.RoleViewer, Created: epoch, LastUsed: epoch.Add(time.Hour)}}
	if got := h.APIKeys(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := h.stop(); err != nil { // with a last checkpoint
		t.Fatal(err)
	}
	h = start(t, o)
	if got := h.APIKeys(); !slices.Equal(got, want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
	id, err := h.Identify(key)
	if err != nil || id.Via != store.ViaKey || !id.Expires.IsZero() {
		t.Errorf("%+v, %v", id, err)
	}
	if err := h.RemoveAPIKey("reports"); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, h.Store, key, "", "")
	if _, err := h.Recheck(id); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("a removed key: %v", err)
	}
	// A checkpoint must not bring back what was used and removed since the one before.
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, o)
	wantIdentity(t, h.Store, key, "", "")
}

func TestSetupCode(t *testing.T) {
	o := store.Options{Dir: t.TempDir()}
	h := start(t, o)
	setup := func(code, name, password string) (store.Identity, error) {
		_, id, err := h.Setup(t.Context(), code, name, password)
		return id, err
	}
	if _, err := setup("", "kim", password); !errors.Is(err, store.ErrUnauthenticated) {
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
		if _, err := setup(wrong, "kim", password); !errors.Is(err, store.ErrUnauthenticated) {
			t.Errorf("code %q: %v", wrong, err)
		}
	}
	if _, err := setup(code, "kim", "short"); !errors.Is(err, store.ErrBadPassword) { // which may be mended
		t.Errorf("a short password: %v", err)
	}
	id, err := setup(code, "Kim", password)
	if err != nil || id.Name != "kim" || id.Role != store.RoleAdmin || id.Via != store.ViaSession {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := setup(code, "lee", password); !errors.Is(err, store.ErrSetupDone) {
		t.Errorf("the second use: %v", err)
	}
	if _, err := h.NewSetupCode(); !errors.Is(err, store.ErrSetupDone) {
		t.Errorf("a code when there are users: %v", err)
	}
	// A code made before the first user is worth nothing after that user is gone.
	if err := h.RemoveUser("kim", true); err != nil {
		t.Fatal(err)
	}
	if _, err := setup(code, "lee", password); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("an old code: %v", err)
	}
	last, err := h.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, o)
	if _, err := setup(last, "lee", password); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("a code of another start: %v", err)
	}
}

func TestLoginCode(t *testing.T) {
	h := start(t, store.Options{})
	addUser(t, h.Store, "demo", store.RoleOperator)
	if _, err := h.NewLoginCode("nobody"); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("%v, want ErrNoUser", err)
	}
	code, err := h.NewLoginCode("demo")
	if err != nil {
		t.Fatal(err)
	}
	secret, id, err := h.LoginWithCode(code)
	if err != nil || id.Name != "demo" || id.Role != store.RoleOperator {
		t.Fatalf("%+v, %v", id, err)
	}
	wantIdentity(t, h.Store, secret, "demo", store.RoleOperator)
	wantIdentity(t, h.Store, code, "", "")
	for _, c := range []string{code, "", secret} {
		if _, _, err := h.LoginWithCode(c); !errors.Is(err, store.ErrUnauthenticated) {
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
	addUser(t, h.Store, "demo", store.RoleAdmin)
	if _, _, err := h.LoginWithCode(code); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("a code of a user who was removed: %v", err)
	}
}
