package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
)

// Who guesses at one user, even from many addresses, is slowed down. Whoever has been logged in before is not.
func TestGuessingAtOneUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	known := s.loggedIn("admin")
	s.pass(8 * 24 * time.Hour) // the session has expired; the browser is known all the same
	for i := range perUser.Burst {
		name := []string{"admin", "Admin", " ADMIN "}[i%3]
		s.callerFrom(fmt.Sprint("127.0.1.", i+1)).login(name, "wrong").wants(http.StatusUnauthorized, nil)
	}
	stranger := s.callerFrom("127.0.2.1")
	r := stranger.login("admin", password).wants(http.StatusTooManyRequests, nil)
	if wait, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || wait != 60 {
		t.Errorf("Retry-After %q, want 60 s", r.header.Get("Retry-After"))
	}
	stranger.login("viewer", password).wants(http.StatusOK, nil)
	stranger.cookie = ""
	stranger.cookie = known.cookie + "x"
	stranger.login("admin", password).wants(http.StatusTooManyRequests, nil)
	stranger.cookie = known.cookie // of another user than the one guessed at
	stranger.login("operator", "wrong").wants(http.StatusUnauthorized, nil)

	known.login("admin", "mistyped").wants(http.StatusUnauthorized, nil)
	known.login("admin", password).wants(http.StatusOK, nil)
	s.pass(59 * time.Second)
	stranger.cookie = ""
	stranger.login("admin", password).wants(http.StatusTooManyRequests, nil)
	s.pass(2 * time.Second)
	stranger.login("admin", password).wants(http.StatusOK, nil)
	// A right password is no guess: it may be repeated.
	for range 3 {
		stranger.cookie = ""
		stranger.login("admin", password).wants(http.StatusOK, nil)
	}
}

// A name that is no user's is throttled like one that is: the answers must not tell them apart.
func TestGuessingAtNobody(t *testing.T) {
	s := newSite(t)
	for i := range perUser.Burst {
		s.callerFrom(fmt.Sprint("127.0.1.", i+1)).login("nobody", "wrong").wants(http.StatusUnauthorized, nil)
	}
	s.callerFrom("127.0.2.1").login("nobody", "wrong").wants(http.StatusTooManyRequests, nil)
}

func TestGuessingFromOneAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	guesser := s.callerFrom("127.0.1.1")
	for i := range perAddress.Burst {
		guesser.login(fmt.Sprint("user-", i), "wrong").wants(http.StatusUnauthorized, nil)
	}
	guesser.login("admin", password).wants(http.StatusTooManyRequests, nil)
	s.callerFrom("127.0.1.2").login("admin", password).wants(http.StatusOK, nil)
	s.pass(perAddress.Every)
	guesser.login("admin", password).wants(http.StatusOK, nil)
}

// Who guesses, from one address or many, takes no turn from a browser in which the user has been logged in before.
func TestLoginsTakeTurns(t *testing.T) {
	s := newSite(t)
	known := s.loggedIn("admin")
	held := limit.Party{Name: "whose password is being checked"}
	if err := s.logins.Enter(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	waiting := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " wait"), func() bool { return s.logins.Waiting() == n })
	}
	var tasks sync.WaitGroup
	login := func(c *caller, user, password string, want int) {
		tasks.Go(func() { c.login(user, password).wants(want, nil) })
	}
	var statuses [http.StatusNetworkAuthenticationRequired]atomic.Int32
	for i := range maxLoginsWaiting {
		c := s.callerFrom("127.0.1.1")
		tasks.Go(func() { statuses[c.login(fmt.Sprint("user-", i), "wrong").status].Add(1) })
	}
	waiting(maxLoginsWaiting)
	s.callerFrom("127.0.1.1").login("viewer", password).wants(http.StatusServiceUnavailable, nil)
	login(known, "admin", password, http.StatusOK)
	waiting(maxLoginsWaiting + 1)
	login(s.callerFrom("127.0.1.2"), "viewer", password, http.StatusOK) // one of the many makes room
	eventually(t, "room is made", func() bool { return statuses[http.StatusServiceUnavailable].Load() == 1 })
	waiting(maxLoginsWaiting + 1)
	s.logins.Leave(held)
	tasks.Wait()
	if n := statuses[http.StatusUnauthorized].Load(); n != maxLoginsWaiting-1 {
		t.Errorf("%d wrong passwords", n)
	}
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234": "192.0.2.7/32", "[::ffff:192.0.2.7]:1234": "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1234": "2001:db8:1:2::/64", "[fe80::1%eth0]:1234": "fe80::/64", "@": "",
	} {
		if got := network(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
