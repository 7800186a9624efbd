// Package api is what programs ask the hub by HTTP: one handler, one set of types, one document (openapi.json). The dashboard
// serves it on TLS behind its login; the hub serves it on a Unix socket in its data directory, where whoever can connect is
// an admin; and the command line serves it to itself where no hub runs.
package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// Config is what an API is made of.
type Config struct {
	Store       *store.Store
	Hub         *hub.Hub                 // nil: none runs
	Feed        *live.Feed               // nil: one of what is in the store
	Certificate *certificate.Certificate // nil: the one that the hub keeps in its data directory
	Version     string
	Logger      *slog.Logger
	Now         func() time.Time // nil: that of Store
}

// API answers requests about a store and the hub that runs on it.
type API struct {
	Commanders *limit.Throttle // those who send commands
	Waits      *limit.Turns    // for commands to be settled

	store       *store.Store
	hub         *hub.Hub
	feed        *live.Feed
	certificate *certificate.Certificate
	version     string
	log         *slog.Logger
	now         func() time.Time
	sums        *limit.Turns // requests that sum up readings
	downloads   *limit.Turns // of raw readings
	rollouts    rollouts
	ending      context.Context // ends with End
	end         context.CancelFunc
}

// New returns an API. End is called when it is to answer no more.
func New(c Config) *API {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = c.Store.Clock().Now
	}
	if c.Feed == nil {
		c.Feed = live.New(live.Config{Store: c.Store, Logger: c.Logger, Now: c.Now, Version: c.Version})
	}
	a := &API{
		store: c.Store, hub: c.Hub, feed: c.Feed, certificate: c.Certificate, version: c.Version, log: c.Logger, now: c.Now,
		sums:      limit.NewTurns(maxSums, maxSums, maxSumsWaiting),
		downloads: limit.NewTurns(MaxDownloads, MaxDownloadsOfOne, 0), Waits: limit.NewTurns(maxWaits, MaxWaitsOfOne, 0),
		Commanders: limit.NewThrottle(c.Store.Clock().View().Now), // never follows a clock that is set
	}
	a.ending, a.end = context.WithCancel(context.Background())
	return a
}

// End has requests that wait for something answered at once, and ends what goes on without a request.
func (a *API) End() {
	a.rollouts.mu.Lock() // none begins behind this
	a.end()
	a.rollouts.mu.Unlock()
	a.rollouts.tasks.Wait()
}

// route is an operation, and the role it needs.
type route struct {
	pattern string
	role    accounts.Role
	handle  func(http.ResponseWriter, *http.Request, Caller)
}

func (a *API) routes() []route {
	const viewer, operator, admin = accounts.RoleViewer, accounts.RoleOperator, accounts.RoleAdmin
	return []route{
		{"GET /api/v1/hub", viewer, a.serveHub},
		{"GET /api/v1/status", viewer, a.serveStatus},
		{"GET /api/v1/certificate", viewer, a.serveCertificate},
		{"POST /api/v1/certificate/renew", admin, a.renewCertificate},
		{"GET /api/v1/events", viewer, a.serveEvents},
		{"GET /api/v1/devices", viewer, a.serveDevices},
		{"POST /api/v1/devices", admin, a.addDevice},
		{"POST /api/v1/devices/batch", admin, a.addDevices},
		{"GET /api/v1/devices/{id}", viewer, a.serveDevice},
		{"PATCH /api/v1/devices/{id}", admin, a.changeDevice},
		{"DELETE /api/v1/devices/{id}", admin, a.removeDevice},
		{"POST /api/v1/devices/{id}/rotate", admin, a.rotateToken},
		{"POST /api/v1/devices/{id}/revoke", admin, a.revokeDevice},
		{"GET /api/v1/devices/{id}/readings", viewer, a.serveReadings},
		{"GET /api/v1/readings.ndjson", viewer, a.serveRaw(formNDJSON)},
		{"GET /api/v1/readings.csv", viewer, a.serveRaw(formCSV)},
		{"GET /api/v1/readings.lp", viewer, a.serveRaw(formLineProtocol)},
		{"GET /api/v1/latest", viewer, a.serveLatest},
		{"GET /api/v1/dead-letters", viewer, a.serveDeadLetters},
		{"GET /api/v1/dead-letters/{position}", viewer, a.serveDeadLetter},
		{"DELETE /api/v1/dead-letters", admin, a.dropDeadLetters},
		{"POST /api/v1/dead-letters/replay", admin, a.replayDeadLetters},
		{"POST /api/v1/devices/{id}/commands", operator, a.sendCommand},
		{"GET /api/v1/commands", viewer, a.serveCommands},
		{"GET /api/v1/commands/{id}", viewer, a.serveCommand},
		{"DELETE /api/v1/commands/{id}", operator, a.cancelCommand},
		{"POST /api/v1/rollouts", operator, a.startRollout},
		{"GET /api/v1/rollouts/{id}", viewer, a.serveRollout},
		{"GET /api/v1/rollouts/{id}/outcomes", viewer, a.serveOutcomes},
		{"DELETE /api/v1/rollouts/{id}", operator, a.stopRollout},
		{"GET /api/v1/devices/{id}/settings", viewer, a.serveSettings},
		{"PUT /api/v1/devices/{id}/settings/{channel}", operator, a.setDesired},
		{"DELETE /api/v1/devices/{id}/settings/{channel}", operator, a.clearDesired},
		{"GET /api/v1/audit", admin, a.serveAudit},
		{"GET /api/v1/session", viewer, a.serveSession},
		{"GET /api/v1/users", admin, a.serveUsers},
		{"POST /api/v1/users", admin, a.addUser},
		{"PATCH /api/v1/users/{name}", admin, a.changeUser},
		{"DELETE /api/v1/users/{name}", admin, a.removeUser},
		{"GET /api/v1/apikeys", admin, a.serveAPIKeys},
		{"POST /api/v1/apikeys", admin, a.addAPIKey},
		{"DELETE /api/v1/apikeys/{name}", admin, a.removeAPIKey},
	}
}

// Identify returns who sends a request, or accounts.ErrUnauthenticated.
type Identify func(*http.Request) (Caller, error)

// Register adds the API to mux, which may have more routes below /api/ of its own.
func (a *API) Register(mux *http.ServeMux, identify Identify) {
	for _, r := range a.routes() {
		mux.HandleFunc(r.pattern, compressed(a.Require(identify, r.role, r.handle)))
	}
	mux.HandleFunc("GET /api/v1/openapi.json", compressed(a.serveOpenAPI))
	mux.HandleFunc(apiRest, func(w http.ResponseWriter, r *http.Request) { noRoute(mux, w, r) })
}

// Require lets those pass to h who have at least this role. Others are answered 401 or 403.
func (a *API) Require(identify Identify, role accounts.Role, h func(http.ResponseWriter, *http.Request, Caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, err := identify(r)
		switch {
		case errors.Is(err, accounts.ErrUnauthenticated):
			a.Unauthenticated(w)
		case err != nil:
			a.Failed(w, err)
		case !by.Role.Allows(role):
			Fail(w, http.StatusForbidden, "forbidden", "this needs the role "+string(role)+"; "+by.Name+" is "+string(by.Role),
				"ask an admin to do it, or for the role")
		default:
			h(w, r, by)
		}
	}
}

// apiRest matches what no other pattern of the API does.
const apiRest = "/api/"

// noRoute answers 405 for a path that is there for other methods, else 404.
func noRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != apiRest {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		Fail(w, http.StatusNotFound, "no_route", "there is nothing at "+r.URL.Path, "/api/v1/openapi.json describes what there is")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	Fail(w, http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not possible here", "possible are "+strings.Join(allowed, ", "))
}

//go:embed openapi.json
var openAPI []byte

// serveOpenAPI is open to everybody, as it is in the source.
func (a *API) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	if !unchanged(w, r, openAPITag) {
		_, _ = w.Write(openAPI)
	}
}

var openAPITag = fmt.Sprintf("%x", sha256.Sum256(openAPI))[:16]

// unchanged names what is answered, and answers 304 if the caller has it (RFC 9110 §13.1.2). The tag is a weak one, because of the
// content codings.
func unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	tag = `W/"` + tag + `"`
	w.Header().Set("ETag", tag)
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if have = strings.TrimSpace(have); have == tag || have == "*" {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}
