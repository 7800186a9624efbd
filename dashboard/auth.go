package dashboard

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// sessionCookie carries a session's secret. The prefix keeps other hosts and plain HTTP from setting it (RFC 6265bis §4.1.3.2).
const sessionCookie = "__Host-session"

// identify returns who sent the request: by an API key in Authorization: Bearer, or by the session cookie. The error is
// accounts.ErrUnauthenticated.
func (d *Dashboard) identify(r *http.Request) (accounts.Identity, error) {
	if key, ok := bearer(r); ok {
		return d.identifyAs(accounts.ViaKey, key)
	}
	return d.identifyAs(accounts.ViaSession, sessionSecret(r))
}

// identifyAs accepts a secret only where its kind belongs: a session's in the cookie, which other pages can't read, a key
// where no browser puts it by itself.
func (d *Dashboard) identifyAs(via, secret string) (accounts.Identity, error) {
	id, err := d.store.Accounts.Identify(secret)
	if err == nil && id.Via != via {
		return accounts.Identity{}, accounts.ErrUnauthenticated
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

// identifyCaller is identify, with what the API has to know besides.
func (d *Dashboard) identifyCaller(r *http.Request) (api.Caller, error) {
	id, err := d.identify(r)
	return callerOf(id, r), err
}

// callerOf is who sends a request: a page, with a session, or a script, with an API key.
func callerOf(id accounts.Identity, r *http.Request) api.Caller {
	if id.Via == accounts.ViaKey {
		return callerBy(id, r, "REST")
	}
	return callerBy(id, r, "page")
}

// callerBy is who sends a request by this way.
func callerBy(id accounts.Identity, r *http.Request, way string) api.Caller {
	c := api.Caller{Identity: id, By: actorName(id)}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	c.From = host + " (" + way + ")"
	return c
}

// actorName tells an API key from a user of the same name: names have no spaces.
func actorName(id accounts.Identity) string {
	if id.Via == accounts.ViaKey {
		return "API key " + id.Name
	}
	return id.Name
}

// audit enters what somebody did. It is done by then: if it can't be entered, the store raises an alarm.
func (d *Dashboard) audit(by api.Caller, action, deviceID, text string) {
	_ = d.store.Audit.Enter(audit.Entry{By: by.By, From: by.From, Action: action, Device: deviceID, Text: text})
}

// foreignOrigin reports whether a browser without Sec-Fetch-Site says that a page of another origin asks for a change. A page by
// plain HTTP is one, whatever its host: whoever sits between can write it. The standard library looks at the host only.
func foreignOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") != "" && !sameOrigin(r)
}

// fromOtherPage tells whether a page of one of the origins that are let in asks the API, and says so to its browser (Fetch §3.3); a
// preflight is answered with that. Such a page has to send a key: a session counts for the hub's own page only.
func (d *Dashboard) fromOtherPage(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if len(d.origins) == 0 || !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		return false
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if !slices.Contains(d.origins, origin) || sameOrigin(r) {
		return false
	}
	r.Header.Del("Cookie")
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, "+api.CursorField)
	if r.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match")
		header.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	}
	return true
}

// guard refuses what a browser sends on behalf of others: requests for a name that is not the hub's, and changes that a
// page of another origin asks for.
func (d *Dashboard) guard(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	for _, origin := range d.origins {
		_ = csrf.AddTrustedOrigin(origin) // New has checked it
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.allowedHost(r) {
			d.limited.Warn("request refused", "reason", "host", "host", r.Host, "address", r.RemoteAddr)
			api.Fail(w, http.StatusMisdirectedRequest, "unknown_host", "this hub does not answer to this name",
				"use its IP address or a name in its certificate; for another name, set names in the hub's configuration, or give it a certificate for that name with --tls-cert")
			return
		}
		if d.fromOtherPage(w, r) {
			if r.Method == http.MethodOptions {
				return
			}
		} else if err := csrf.Check(r); err != nil || foreignOrigin(r) {
			d.limited.Warn("request refused", "reason", "origin", "origin", r.Header.Get("Origin"), "address", r.RemoteAddr)
			api.Fail(w, http.StatusForbidden, "foreign_origin", "this change was asked for by a page of another origin", "open the hub's own page, or use an API key from a script")
			return
		}
		next.ServeHTTP(w, r)
	})
}
