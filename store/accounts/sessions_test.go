package accounts

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestLogin(t *testing.T) {
	var c clock
	dir := t.TempDir()
	h := start(t, dir, c.now)
	h.addUser(t, "kim", RoleOperator)
	secret, id := h.login(t, "Kim", password)
	if id.Name != "kim" || id.Role != RoleOperator || id.Via != ViaSession || !id.Expires.Equal(epoch.Add(7*24*time.Hour)) {
		t.Errorf("%+v", id)
	}
	if !strings.HasPrefix(secret, "ths_") || len(secret) != 47 {
		t.Errorf("the secret is %q", secret)
	}
	for _, try := range [][2]string{{"kim", ""}, {"kim", password + "x"}, {"nobody", password}, {"", ""}, {"kim", strings.Repeat("a", 1e6)}} {
		if s, _, err := h.Login(t.Context(), try[0], try[1]); !errors.Is(err, ErrUnauthenticated) || s != "" {
			t.Errorf("%.20q: %v", try, err)
		}
	}
	other, _ := h.login(t, "kim", password)
	if other == secret {
		t.Error("two sessions have one secret")
	}
	h.wantIdentity(t, secret, "kim", RoleOperator)
	if err := h.EndSession(secret); err != nil {
		t.Fatal(err)
	}
	h.wantIdentity(t, secret, "", "")
	if _, err := h.Recheck(id); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("after logging out: %v", err)
	}
	h.wantIdentity(t, other, "kim", RoleOperator)
	if err := h.EndSession(secret); err != nil {
		t.Errorf("ending it once more: %v", err)
	}
	h.stop(t)
	h = start(t, dir, c.now)
	h.wantIdentity(t, secret, "", "")
	h.wantIdentity(t, other, "kim", RoleOperator)
	h.login(t, "kim", password)
}

func TestSessionFollowsItsUser(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleAdmin)
	h.addUser(t, "lee", RoleAdmin)
	lee, _ := h.login(t, "lee", password)
	secret, id := h.login(t, "kim", password)
	if err := h.SetRole("kim", RoleViewer, false); err != nil {
		t.Fatal(err)
	}
	h.wantIdentity(t, secret, "kim", RoleViewer)
	if now, err := h.Recheck(id); err != nil || now.Role != RoleViewer || now.Hash != id.Hash {
		t.Errorf("%+v, %v", now, err)
	}
	if err := h.SetPassword("Kim", "another horse"); err != nil {
		t.Fatal(err)
	}
	h.wantIdentity(t, secret, "", "")
	if h.Remembers(secret, "kim") {
		t.Error("a session that a new password ended is remembered")
	}
	if err := h.CheckPassword(t.Context(), "kim", password); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	secret, _ = h.login(t, "kim", "another horse")
	if err := h.RemoveUser("kim", false); err != nil {
		t.Fatal(err)
	}
	h.wantIdentity(t, secret, "", "")
	h.addUser(t, "kim", RoleAdmin) // the same name is not the same user
	h.wantIdentity(t, secret, "", "")
	h.wantIdentity(t, lee, "lee", RoleAdmin)
	if _, _, err := h.OpenSession("park"); !errors.Is(err, ErrNoUser) {
		t.Errorf("a session of nobody: %v", err)
	}
}

func TestSessionExpires(t *testing.T) {
	var c clock
	dir := t.TempDir()
	h := start(t, dir, c.now)
	h.addUser(t, "kim", RoleViewer)
	idle, _ := h.login(t, "kim", password)
	used, id := h.login(t, "kim", password)
	for c.now().Before(epoch.Add(7*24*time.Hour - time.Minute)) {
		if c.now().Sub(epoch) == 69*time.Hour { // the last use survives
			h.stop(t)
			h = start(t, dir, c.now)
		}
		switch {
		case c.now().Sub(epoch) < 24*time.Hour:
			if !h.Remembers(idle, "kim") || h.Remembers(idle, "lee") || h.Remembers("", "kim") {
				t.Error("an open session is not that of its user")
			}
		default:
			h.wantIdentity(t, idle, "", "")
		}
		if _, err := h.Recheck(id); err != nil {
			t.Fatalf("after %v: %v", c.now().Sub(epoch), err)
		}
		c.pass(23 * time.Hour)
	}
	c.set(7*24*time.Hour - time.Second)
	h.wantIdentity(t, used, "kim", RoleViewer)
	c.set(7 * 24 * time.Hour)
	h.wantIdentity(t, used, "", "")
	if !h.Remembers(used, "Kim") || !h.Remembers(idle, "kim") {
		t.Error("expired sessions are forgotten at once")
	}
	c.set(37 * 24 * time.Hour)
	h.login(t, "kim", password)
	if h.Remembers(used, "kim") || h.Remembers(idle, "kim") {
		t.Error("expired sessions are kept for ever")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var c clock
	h := start(t, "", c.now)
	h.addUser(t, "kim", RoleViewer)
	h.addUser(t, "lee", RoleViewer)
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
		h.wantIdentity(t, secrets[0], "kim", RoleViewer) // the one used most
	}
	for i, secret := range secrets {
		if i >= 1 && i <= 6 {
			h.wantIdentity(t, secret, "", "")
		} else {
			h.wantIdentity(t, secret, "kim", RoleViewer)
		}
	}
	h.wantIdentity(t, lee, "lee", RoleViewer)
}

// On a full disk people must be able to look.
func TestLoginWithoutDisk(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleViewer)
	h.stop(t) // nothing can be written any more
	secret, _ := h.login(t, "kim", password)
	h.wantIdentity(t, secret, "kim", RoleViewer)
	if err := h.AddUser("lee", password, RoleViewer); err == nil {
		t.Error("a user was added nowhere")
	}
	if _, err := h.User("lee"); !errors.Is(err, ErrNoUser) {
		t.Errorf("a user who could not be recorded: %v", err)
	}
	if err := h.EndSession(secret); err == nil {
		t.Error("ending a session that stays in hub.db is no error")
	}
	h.wantIdentity(t, secret, "", "")
}

// Whoever guesses must not see from the time which users there are: the same is computed for those there are not.
func TestUnknownUserCostsTheSame(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleViewer)
	const most = 13 << 20 // bytes: 12 MiB of argon2id, and the little that everything else takes
	for _, name := range []string{"kim", "nobody", "not a name", ""} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := h.Login(t.Context(), name, "wrong"); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%q: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n < 12<<20 || n > most {
			t.Errorf("%q took %d bytes, want those of one argon2id hash", name, n)
		}
	}
}
