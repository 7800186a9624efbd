package dashboard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
)

func (d *Dashboard) accountRoutes() {
	d.mux.HandleFunc("GET /api/v1/session", d.require(store.RoleViewer, d.serveSession))
	d.mux.HandleFunc("POST /api/v1/session", d.login)
	d.mux.HandleFunc("DELETE /api/v1/session", d.logout)
	d.mux.HandleFunc("POST /api/v1/setup", d.setup)
	d.mux.HandleFunc("POST /api/v1/password", d.require(store.RoleViewer, d.changePassword))
	d.mux.HandleFunc("GET /api/v1/users", d.require(store.RoleAdmin, d.serveUsers))
	d.mux.HandleFunc("POST /api/v1/users", d.require(store.RoleAdmin, d.addUser))
	d.mux.HandleFunc("PATCH /api/v1/users/{name}", d.require(store.RoleAdmin, d.changeUser))
	d.mux.HandleFunc("DELETE /api/v1/users/{name}", d.require(store.RoleAdmin, d.removeUser))
	d.mux.HandleFunc("GET /api/v1/apikeys", d.require(store.RoleAdmin, d.serveAPIKeys))
	d.mux.HandleFunc("POST /api/v1/apikeys", d.require(store.RoleAdmin, d.addAPIKey))
	d.mux.HandleFunc("DELETE /api/v1/apikeys/{name}", d.require(store.RoleAdmin, d.removeAPIKey))
}

// sessionAnswer says who is logged in.
type sessionAnswer struct {
	User    string     `json:"user"` // or the API key's name
	Role    store.Role `json:"role"`
	Via     string     `json:"via"`               // session or key
	Expires int64      `json:"expires,omitempty"` // ms since 1970; absent for an API key
	Version string     `json:"version"`           // of the hub
	Now     int64      `json:"now"`               // ms since 1970
}

func (d *Dashboard) serveSession(w http.ResponseWriter, _ *http.Request, id store.Identity) {
	answer(w, http.StatusOK, sessionAnswer{
		User: id.Name, Role: id.Role, Via: id.Via, Expires: millis(id.Expires), Version: d.version, Now: millis(d.now()),
	})
}

// login answers POST /api/v1/session.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User     string `json:"user"`
		Password string `json:"password"`
		Link     string `json:"link"` // a one-time code instead
	}
	if !readJSON(w, r, &in) {
		return
	}
	if in.Link != "" {
		secret, id, err := d.store.LoginWithCode(in.Link)
		if err != nil {
			d.refuseLogin(w, r, "", err, "this login link is not valid any more", "log in with a user name and a password")
			return
		}
		d.enter(w, r, secret, id)
		return
	}
	var secret string
	var id store.Identity
	err := d.throttled(w, r, in.User, func(ctx context.Context) (err error) {
		secret, id, err = d.store.Login(ctx, in.User, in.Password)
		return err
	})
	switch {
	case errors.Is(err, errAnswered):
	case err != nil:
		d.refuseLogin(w, r, in.User, err, "wrong user name or password", "an admin can set a new password, or telemetry-hub user passwd")
	default:
		d.enter(w, r, secret, id)
	}
}

var errAnswered = errors.New("answered already")

// throttled calls check, which checks a password of user, unless too many wrong ones came before: then it answers, and
// returns errAnswered.
func (d *Dashboard) throttled(w http.ResponseWriter, r *http.Request, user string, check func(context.Context) error) error {
	user = store.UserName(user)
	suspects := []suspect{d.throttle.suspect(perAddress, network(r.RemoteAddr)), d.throttle.suspect(perUser, user)}
	who := party{name: network(r.RemoteAddr)}
	if secret := sessionSecret(r); d.store.Remembers(secret, user) {
		suspects = []suspect{d.throttle.suspect(perSession, secret)}
		who = party{name: user, known: true}
	}
	if wait := d.throttle.take(suspects); wait > 0 {
		d.strangers.Warn("login throttled", "address", r.RemoteAddr)
		tryLater(w, http.StatusTooManyRequests, wait, "too many wrong passwords")
		return errAnswered
	}
	err := d.logins.enter(r.Context(), who)
	if err == nil {
		err = func() error {
			defer d.logins.leave(who)
			return check(r.Context())
		}()
	}
	if !errors.Is(err, store.ErrUnauthenticated) {
		d.throttle.giveBack(suspects)
	}
	if errors.Is(err, store.ErrBusy) {
		tryLater(w, http.StatusServiceUnavailable, time.Second, "too many people log in at this moment")
		return errAnswered
	}
	return err
}

func tryLater(w http.ResponseWriter, status int, wait time.Duration, text string) {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	fail(w, status, text, fmt.Sprintf("try again in %d s", seconds))
}

// refuseLogin answers after a failed login. user is logged only if there is one: people type passwords there by mistake.
func (d *Dashboard) refuseLogin(w http.ResponseWriter, r *http.Request, user string, err error, text, hint string) {
	if !errors.Is(err, store.ErrUnauthenticated) {
		d.failed(w, err)
		return
	}
	known, _ := d.store.User(user)
	d.strangers.Warn("login failed", "user", known.Name, "address", r.RemoteAddr)
	fail(w, http.StatusUnauthorized, text, hint)
}

// enter answers with a new session. One that the browser had before ends.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request, secret string, id store.Identity) {
	d.endSession(r)
	// Not in the audit trail: one viewer could push everything else out of it.
	d.log.Info("logged in", "user", id.Name, "address", r.RemoteAddr)
	setSessionCookie(w, secret, int((store.SessionLife + store.SessionMemory).Seconds()))
	d.serveSession(w, r, id)
}

// logout answers DELETE /api/v1/session.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	d.endSession(r)
	setSessionCookie(w, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

func (d *Dashboard) endSession(r *http.Request) {
	secret := sessionSecret(r)
	if secret == "" {
		return
	}
	if err := d.store.EndSession(secret); err != nil {
		d.log.Error("an ended session is still in hub.db, and will be back after a restart", "error", err)
	}
}

// setSessionCookie outlives the session, so that the browser is known at the next login (see store.Remembers).
func setSessionCookie(w http.ResponseWriter, secret string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: secret, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// setup answers POST /api/v1/setup: the first user, made with the code that the hub printed.
func (d *Dashboard) setup(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Link     string `json:"link"`
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	secret, id, err := d.store.Setup(r.Context(), in.Link, in.User, in.Password)
	if err != nil {
		d.refuseLogin(w, r, "", err, "this setup link is not valid",
			"take the one that the hub printed when it started last, or use telemetry-hub user add NAME --role admin")
		return
	}
	d.audit(actorOf(id, r), "user added", "", id.Name+", "+string(id.Role)+", with the setup link")
	d.enter(w, r, secret, id)
}

// changePassword answers POST /api/v1/password: of who is logged in. All sessions of the user end, and a new one begins.
func (d *Dashboard) changePassword(w http.ResponseWriter, r *http.Request, id store.Identity) {
	var in struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if id.Via != store.ViaSession {
		fail(w, http.StatusForbidden, "an API key has no password", "remove the key and make another")
		return
	}
	err := d.throttled(w, r, id.Name, func(ctx context.Context) error { return d.store.CheckPassword(ctx, id.Name, in.Old) })
	switch {
	case errors.Is(err, errAnswered):
		return
	case errors.Is(err, store.ErrUnauthenticated): // not 401: the session is as good as before
		fail(w, http.StatusForbidden, "the old password is wrong", "")
		return
	case err == nil:
		err = d.store.SetPassword(id.Name, in.New)
	}
	if err != nil {
		d.failed(w, err)
		return
	}
	d.audit(actorOf(id, r), "user password set", "", id.Name)
	secret, id, err := d.store.OpenSession(id.Name)
	if err != nil {
		d.failed(w, err)
		return
	}
	d.enter(w, r, secret, id)
}
