package dashboard

import (
	"net/http"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/store"
)

// sessionCookie carries a session's secret. The prefix keeps other hosts and plain HTTP from setting it (RFC 6265bis §4.1.3.2).
const sessionCookie = "__Host-session"

// identify returns who sent the request: by an API key in Authorization: Bearer, or by the session cookie. The error is
// store.ErrUnauthenticated.
func (d *Dashboard) identify(r *http.Request) (store.Identity, error) {
	if key, ok := bearer(r); ok {
		return d.identifyAs(store.ViaKey, key)
	}
	return d.identifyAs(store.ViaSession, sessionSecret(r))
}

// identifyAs accepts a secret only where its kind belongs: a session's in the cookie, which other pages can't read, a key
// where no browser puts it by itself.
func (d *Dashboard) identifyAs(via, secret string) (store.Identity, error) {
	id, err := d.store.Identify(secret)
	if err == nil && id.Via != via {
		return store.Identity{}, store.ErrUnauthenticated
	}
	return id, err
}

// bearer returns the token in the Authorization header. Other schemes, such as a proxy's Basic, are not for the hub.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// sessionSecret returns what is in the session cookie, "" if there is none.
func sessionSecret(r *http.Request) string {
	if c, err := r.Cookie(sessionCookie); err == nil {
		return c.Value
	}
	return ""
}

// require lets those pass to h who have at least this role. Others are answered 401 or 403.
func (d *Dashboard) require(role store.Role, h func(http.ResponseWriter, *http.Request, store.Identity)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := d.identify(r)
		switch {
		case err != nil:
			d.unauthenticated(w)
		case !id.Role.Allows(role):
			fail(w, http.StatusForbidden, "this needs the role "+string(role)+"; "+id.Name+" is "+string(id.Role),
				"ask an admin to do it, or for the role")
		default:
			h(w, r, id)
		}
	}
}

// unauthenticated answers who is not logged in.
func (d *Dashboard) unauthenticated(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="telemetry-hub"`)
	body := struct {
		problem
		Setup bool `json:"setup"` // there are no users yet
	}{problem{"not logged in", "log in, or send an API key: Authorization: Bearer KEY"}, !d.store.HasUsers()}
	if body.Setup {
		body.Hint = "there are no users yet: open the setup link that the hub printed when it started, or use telemetry-hub user add"
	}
	answer(w, http.StatusUnauthorized, body)
}

// foreignOrigin tells whether a browser without Sec-Fetch-Site says that a page of another origin asks for a change. A page by
// plain HTTP is one, whatever its host: whoever sits between can write it. The standard library looks at the host only.
func foreignOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") != "" && !sameOrigin(r)
}

// guard refuses what a browser sends on behalf of others: requests for a name that is not the hub's, and changes that a
// page of another origin asks for.
func (d *Dashboard) guard(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.allowedHost(r) {
			d.strangers.Warn("request refused", "reason", "host", "host", r.Host, "address", r.RemoteAddr)
			fail(w, http.StatusMisdirectedRequest, "this hub does not answer to this name",
				"use its IP address or a name in its certificate; for another name, set names in the hub's configuration, or give it a certificate for that name with --tls-cert")
			return
		}
		if err := csrf.Check(r); err != nil || foreignOrigin(r) {
			d.strangers.Warn("request refused", "reason", "origin", "origin", r.Header.Get("Origin"), "address", r.RemoteAddr)
			fail(w, http.StatusForbidden, "this change was asked for by a page of another origin", "open the hub's own page, or use an API key from a script")
			return
		}
		next.ServeHTTP(w, r)
	})
}
