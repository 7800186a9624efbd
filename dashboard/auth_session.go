package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func (d *Dashboard) accountRoutes() {
	d.mux.HandleFunc("POST /api/v1/session", d.login)
	d.mux.HandleFunc("DELETE /api/v1/session", d.logout)
	d.mux.HandleFunc("POST /api/v1/setup", d.setup)
	d.mux.HandleFunc("POST /api/v1/password", d.api.Require(d.identifyCaller, accounts.RoleViewer, d.changePassword))
}

// login answers POST /api/v1/session.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User     string `json:"user"`
		Password string `json:"password"`
		Link     string `json:"link"` // a one-time code instead
	}
	if !api.ReadJSON(w, r, &in) {
		return
	}
	if in.Link != "" {
		secret, id, err := d.store.Accounts.LoginWithCode(in.Link)
		if err != nil {
			d.refuseLogin(w, r, "", err, "bad_link", "this login link is not valid any more", "log in with a user name and a password")
			return
		}
		d.enter(w, r, secret, id)
		return
	}
	var secret string
	var id accounts.Identity
	err := d.throttled(w, r, in.User, func(ctx context.Context) (err error) {
		secret, id, err = d.store.Accounts.Login(ctx, in.User, in.Password)
		return err
	})
	switch {
	case errors.Is(err, errAnswered):
	case err != nil:
		d.refuseLogin(w, r, in.User, err, "wrong_password", "wrong user name or password", "an admin can set a new password, or telemetry-hub user passwd")
	default:
		d.enter(w, r, secret, id)
	}
}

var errAnswered = errors.New("answered already")

// throttled calls check, which checks a password of user, unless too many wrong ones came before: then it answers, and
// returns errAnswered.
func (d *Dashboard) throttled(w http.ResponseWriter, r *http.Request, user string, check func(context.Context) error) error {
	user = accounts.UserName(user)
	suspects := []limit.Suspect{d.throttle.Suspect(perAddress, network(r.RemoteAddr)), d.throttle.Suspect(perUser, user)}
	who := limit.Party{Name: network(r.RemoteAddr)}
	if secret := sessionSecret(r); d.store.Accounts.Remembers(secret, user) {
		suspects = []limit.Suspect{d.throttle.Suspect(perSession, secret)}
		who = limit.Party{Name: user, Known: true}
	}
	if wait := d.throttle.Take(suspects); wait > 0 {
		d.limited.Warn("login throttled", "address", r.RemoteAddr)
		api.TryLater(w, http.StatusTooManyRequests, wait, "throttled", "too many wrong passwords")
		return errAnswered
	}
	err := d.logins.Enter(r.Context(), who)
	if err == nil {
		err = func() error {
			defer d.logins.Leave(who)
			return check(r.Context())
		}()
	}
	if !errors.Is(err, accounts.ErrUnauthenticated) {
		d.throttle.GiveBack(suspects)
	}
	if errors.Is(err, accounts.ErrBusy) || errors.Is(err, limit.ErrBusy) {
		api.TryLater(w, http.StatusServiceUnavailable, time.Second, "busy", "too many people log in at this moment")
		return errAnswered
	}
	return err
}

// refuseLogin answers after a failed login. user is logged only if there is one: people type passwords there by mistake.
func (d *Dashboard) refuseLogin(w http.ResponseWriter, r *http.Request, user string, err error, code, text, hint string) {
	if !errors.Is(err, accounts.ErrUnauthenticated) {
		d.api.Failed(w, err)
		return
	}
	known, _ := d.store.Accounts.User(user)
	d.limited.Warn("login failed", "user", known.Name, "address", r.RemoteAddr)
	api.Fail(w, http.StatusUnauthorized, code, text, hint)
}

// enter answers with a new session. One that the browser had before ends.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request, secret string, id accounts.Identity) {
	d.endSession(r)
	// Not in the audit trail: one viewer could push everything else out of it.
	d.log.Info("logged in", "user", id.Name, "address", r.RemoteAddr)
	setSessionCookie(w, secret, int((accounts.SessionLife + accounts.SessionMemory).Seconds()))
	api.Answer(w, http.StatusOK, d.api.Session(callerOf(id, r)))
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
	if err := d.store.Accounts.EndSession(secret); err != nil {
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
	if !api.ReadJSON(w, r, &in) {
		return
	}
	secret, id, err := d.store.Accounts.Setup(r.Context(), in.Link, in.User, in.Password)
	if err != nil {
		d.refuseLogin(w, r, "", err, "bad_link", "this setup link is not valid",
			"take the one that the hub printed when it started last, or use telemetry-hub user add NAME --role admin")
		return
	}
	d.audit(callerOf(id, r), "user added", "", id.Name+", "+string(id.Role)+", with the setup link")
	d.enter(w, r, secret, id)
}

// changePassword answers POST /api/v1/password: of who is logged in. All sessions of the user end, and a new one begins.
func (d *Dashboard) changePassword(w http.ResponseWriter, r *http.Request, by api.Caller) {
	var in struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if !api.ReadJSON(w, r, &in) {
		return
	}
	if by.Via != accounts.ViaSession {
		api.Fail(w, http.StatusForbidden, "no_password", "an API key has no password", "remove the key and make another")
		return
	}
	err := d.throttled(w, r, by.Name, func(ctx context.Context) error { return d.store.Accounts.CheckPassword(ctx, by.Name, in.Old) })
	switch {
	case errors.Is(err, errAnswered):
		return
	case errors.Is(err, accounts.ErrUnauthenticated): // not 401: the session is as good as before
		api.Fail(w, http.StatusForbidden, "wrong_password", "the old password is wrong", "")
		return
	case err == nil:
		err = d.store.Accounts.SetPassword(by.Name, in.New)
	}
	if err != nil {
		d.api.Failed(w, err)
		return
	}
	d.audit(by, "user password set", "", by.Name)
	secret, id, err := d.store.Accounts.OpenSession(by.Name)
	if err != nil {
		d.api.Failed(w, err)
		return
	}
	d.enter(w, r, secret, id)
}
