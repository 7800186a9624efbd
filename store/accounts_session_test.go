package store_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
)

func TestLogin(t *testing.T) {
	var c clock
	o := store.Options{Dir: t.TempDir(), Now: c.now}
	h := start(t, o)
	addUser(t, h.Store, "kim", store.RoleOperator)
	secret, id := login(t, h.Store, "Kim", password)
	if id.Name != "kim" || id.Role != store.RoleOperator || id.Via != store.ViaSession || !id.Expires.Equal(epoch.Add(7*24*time.Hour)) {
		t.Errorf("%+v", id)
	}
	if !strings.HasPrefix(secret, "ths_") || len(secret) != 47 {
		t.Errorf("the secret is %q", secret)
	}
	for _, try := range [][2]string{{"kim", ""}, {"kim", password + "x"}, {"nobody", password}, {"", ""}, {"kim", strings.Repeat("a", 1e6)}} {
		if s, _, err := h.Login(t.Context(), try[0], try[1]); !errors.Is(err, store.ErrUnauthenticated) || s != "" {
			t.Errorf("%.20q: %v", try, err)
		}
	}
	other, _ := login(t, h.Store, "kim", password)
	if other == secret {
		t.Error("two sessions have one secret")
	}
	wantIdentity(t, h.Store, secret, "kim", store.RoleOperator)
	if err := h.EndSession(secret); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, h.Store, secret, "", "")
	if _, err := h.Recheck(id); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("after logging out: %v", err)
	}
	wantIdentity(t, h.Store, other, "kim", store.RoleOperator)
	if err := h.EndSession(secret); err != nil {
		t.Errorf("ending it once more: %v", err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, o)
	wantIdentity(t, h.Store, secret, "", "")
	wantIdentity(t, h.Store, other, "kim", store.RoleOperator)
	login(t, h.Store, "kim", password)
}

func TestSessionFollowsItsUser(t *testing.T) {
	h := start(t, store.Options{})
	addUser(t, h.Store, "kim", store.RoleAdmin)
	addUser(t, h.Store, "lee", store.RoleAdmin)
	lee, _ := login(t, h.Store, "lee", password)
	secret, id := login(t, h.Store, "kim", password)
	if err := h.SetRole("kim", store.RoleViewer, false); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, h.Store, secret, "kim", store.RoleViewer)
	if now, err := h.Recheck(id); err != nil || now.Role != store.RoleViewer || now.Hash != id.Hash {
		t.Errorf("%+v, %v", now, err)
	}
	if err := h.SetPassword("Kim", "another horse"); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, h.Store, secret, "", "")
	if h.Remembers(secret, "kim") {
		t.Error("a session that a new password ended is remembered")
	}
	if err := h.CheckPassword(t.Context(), "kim", password); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	secret, _ = login(t, h.Store, "kim", "another horse")
	if err := h.RemoveUser("kim", false); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, h.Store, secret, "", "")
	addUser(t, h.Store, "kim", store.RoleAdmin) // the same name is not the same user
	wantIdentity(t, h.Store, secret, "", "")
	wantIdentity(t, h.Store, lee, "lee", store.RoleAdmin)
	if _, _, err := h.OpenSession("park"); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("a session of nobody: %v", err)
	}
}

func TestSessionExpires(t *testing.T) {
	var c clock
	o := store.Options{Dir: t.TempDir(), Now: c.now}
	h := start(t, o)
	addUser(t, h.Store, "kim", store.RoleViewer)
	idle, _ := login(t, h.Store, "kim", password)
	used, id := login(t, h.Store, "kim", password)
	for c.now().Before(epoch.Add(7*24*time.Hour - time.Minute)) {
		if c.now().Sub(epoch) == 69*time.Hour { // the last use survives
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			h = start(t, o)
		}
		switch {
		case c.now().Sub(epoch) < 24*time.Hour:
			if !h.Remembers(idle, "kim") || h.Remembers(idle, "lee") || h.Remembers("", "kim") {
				t.Error("an open session is not that of its user")
			}
		default:
			wantIdentity(t, h.Store, idle, "", "")
		}
		if _, err := h.Recheck(id); err != nil {
			t.Fatalf("after %v: %v", c.now().Sub(epoch), err)
		}
		c.pass(23 * time.Hour)
	}
	c.set(7*24*time.Hour - time.Second)
	wantIdentity(t, h.Store, used, "kim", store.RoleViewer)
	c.set(7 * 24 * time.Hour)
	wantIdentity(t, h.Store, used, "", "")
	if !h.Remembers(used, "Kim") || !h.Remembers(idle, "kim") {
		t.Error("expired sessions are forgotten at once")
	}
	c.set(37 * 24 * time.Hour)
	login(t, h.Store, "kim", password)
	if h.Remembers(used, "kim") || h.Remembers(idle, "kim") {
		t.Error("expired sessions are kept for ever")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var c clock
	h := start(t, store.Options{Now: c.now})
	addUser(t, h.Store, "kim", store.RoleViewer)
	addUser(t, h.Store, "lee", store.RoleViewer)
	lee, _, err := h.OpenSession("lee")
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for range 70 {
		secret, _, err := h.OpenSession("kim")
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
		c.pass(2 * time.Minute)
		wantIdentity(t, h.Store, secrets[0], "kim", store.RoleViewer) // the one used most
	}
	for i, secret := range secrets {
		if i >= 1 && i <= 6 {
			wantIdentity(t, h.Store, secret, "", "")
		} else {
			wantIdentity(t, h.Store, secret, "kim", store.RoleViewer)
		}
	}
	wantIdentity(t, h.Store, lee, "lee", store.RoleViewer)
}

// On a full disk people must be able to look.
func TestLoginWithoutDisk(t *testing.T) {
	h := start(t, store.Options{})
	addUser(t, h.Store, "kim", store.RoleViewer)
	if err := h.stop(); err != nil { // nothing can be written any more
		t.Fatal(err)
	}
	secret, _ := login(t, h.Store, "kim", password)
	wantIdentity(t, h.Store, secret, "kim", store.RoleViewer)
	if err := h.AddUser("lee", password, store.RoleViewer); err == nil {
		t.Error("a user was added nowhere")
	}
	if _, err := h.User("lee"); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("a user who could not be recorded: %v", err)
	}
	if err := h.EndSession(secret); err == nil {
		t.Error("ending a session that stays in hub.db is no error")
	}
	wantIdentity(t, h.Store, secret, "", "")
}

// Whoever guesses must not see from the time which users there are: the same is computed for those there are not.
func TestUnknownUserCostsTheSame(t *testing.T) {
	h := start(t, store.Options{})
	addUser(t, h.Store, "kim", store.RoleViewer)
	const most = 13 << 20 // bytes: 12 MiB of argon2id, and the little that everything else takes
	for _, name := range []string{"kim", "nobody", "not a name", ""} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := h.Login(t.Context(), name, "wrong"); !errors.Is(err, store.ErrUnauthenticated) {
			t.Errorf("%q: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n < 12<<20 || n > most {
			t.Errorf("%q took %d bytes, want those of one argon2id hash", name, n)
		}
	}
}
