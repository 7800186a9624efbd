// Package control is how the command line reaches the hub: HTTP with JSON over a Unix socket in the data directory.
//
//	GET    /status                     Status
//	GET    /devices                    []Device
//	POST   /devices                    []store.NewDevice → []store.Credential, all of them or none
//	GET    /devices/{id}               Device, with its schema
//	DELETE /devices/{id}               forget the device and its readings
//	POST   /devices/{id}/rotate        → store.Credential
//	POST   /devices/{id}/revoke
//	GET    /devices/{id}/readings      ?channel= &from= &to= (RFC 3339) &format=table|csv|json|lineprotocol, streamed
//	POST   /devices/{id}/commands      NewCommand → commands.Command
//	GET    /commands                   ?device= &state= (repeated) &since= &before=NUMBER &limit=N → []commands.Command, newest first
//	GET    /commands/{id}              ?wait=5s → commands.Command
//	POST   /commands/{id}/cancel       → commands.Command
//	GET    /devices/{id}/settings      → []settings.Setting
//	PUT    /devices/{id}/settings/{channel}     {"value": TEXT} → settings.Setting
//	DELETE /devices/{id}/settings/{channel}
//	GET    /audit                      ?device= &since= &after=NUMBER &before=NUMBER &limit=N → []audit.Entry, newest first
//	GET    /dead-letters               ?after=POSITION &limit=N → []store.DeadLetter, oldest first
//	POST   /dead-letters/replay        ?position=N (repeated) or ?all=true → store.Replayed
//	DELETE /dead-letters               ?position=N (repeated) or ?all=true → {"dropped": N}
//	GET    /certificate                certificate.Info
//	POST   /certificate/renew          → certificate.Info
//	GET    /users                      []accounts.User
//	POST   /users                      NewUser
//	POST   /users/{name}/password      {"password": …}
//	DELETE /users/{name}
//	GET    /apikeys                    []accounts.APIKey
//	POST   /apikeys                    NewAPIKey → MadeAPIKey
//	DELETE /apikeys/{name}
//
// An answer other than 2xx carries an [Error]. A stream that fails midway says so in the trailer Telemetry-Hub-Error.
//
// When no hub runs, the command line opens the files with [Open], which serves the same [Handler] in its own process: every
// operation exists once.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/names"
)

const (
	maxBody      = 64 << 20 // bytes of a request: a fleet of 500,000 devices
	maxErrorBody = 64 << 10 // bytes of an error's text
	maxPage      = 1000     // dead letters in one answer: 16 KiB each
)

// Error is what the hub answers when it can't do what it was asked.
type Error struct {
	Status int    `json:"-"` // HTTP status
	Text   string `json:"error"`
	Hint   string `json:"hint,omitempty"` // what to do about it
}

func (e *Error) Error() string { return e.Text }

// parseError reads an Error as the handler wrote it, or takes the text as it is.
func parseError(status int, text []byte) error {
	e := &Error{Status: status}
	if err := json.Unmarshal(text, e); err != nil || e.Text == "" {
		e.Text = fmt.Sprintf("the hub answered %d %s: %.200q", status, http.StatusText(status), text)
	}
	return e
}

type handler struct {
	store *store.Store
	hub   *hub.Hub                 // nil when no hub runs
	cert  *certificate.Certificate // nil when no hub runs
}

// Handler answers control requests about st, h and cert. h and cert are nil when no hub runs and the files are open only to
// answer.
func Handler(st *store.Store, h *hub.Hub, cert *certificate.Certificate) http.Handler {
	c := &handler{store: st, hub: h, cert: cert}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("GET /devices", c.devices)
	mux.HandleFunc("POST /devices", c.addDevices)
	mux.HandleFunc("GET /devices/{id}", c.device)
	mux.HandleFunc("DELETE /devices/{id}", c.removeDevice)
	mux.HandleFunc("POST /devices/{id}/rotate", c.rotateToken)
	mux.HandleFunc("POST /devices/{id}/revoke", c.revokeDevice)
	mux.HandleFunc("GET /devices/{id}/readings", c.readings)
	mux.HandleFunc("GET /dead-letters", c.deadLetters)
	mux.HandleFunc("POST /dead-letters/replay", c.replayDeadLetters)
	mux.HandleFunc("DELETE /dead-letters", c.dropDeadLetters)
	mux.HandleFunc("GET /certificate", c.certificate)
	mux.HandleFunc("POST /certificate/renew", c.renewCertificate)
	c.accountRoutes(mux)
	c.commandRoutes(mux)
	return mux
}

// Status is the state of the store and of the hub that runs on it.
type Status struct {
	Running   bool `json:"running"`   // a hub serves; else the files were read directly
	Connected int  `json:"connected"` // devices
	store.Status
}

func (c *handler) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{Running: c.hub != nil, Status: c.store.Status()}
	if c.hub != nil {
		s.Connected = c.hub.Connected()
	}
	answer(w, s)
}

func (c *handler) deadLetters(w http.ResponseWriter, r *http.Request) {
	after, limit := uint64(0), maxPage
	var err error
	if s := r.FormValue("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			fail(w, badRequest("after: %v", err))
			return
		}
	}
	if s := r.FormValue("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			fail(w, badRequest("limit %q is not a positive number", s))
			return
		}
	}
	letters, err := c.store.DeadLetters(after, min(limit, maxPage))
	if err != nil {
		fail(w, err)
		return
	}
	if letters == nil {
		letters = []store.DeadLetter{}
	}
	answer(w, letters)
}

// dropped answers DELETE /dead-letters.
type dropped struct {
	Dropped int `json:"dropped"`
}

// positionsOf returns the positions a request names, nil for all.
func positionsOf(r *http.Request) (positions []uint64, err error) {
	for _, s := range r.URL.Query()["position"] {
		p, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return nil, badRequest("position: %v", err)
		}
		positions = append(positions, p)
	}
	if all := r.URL.Query().Get("all") == "true"; all == (len(positions) > 0) {
		return nil, badRequest("name the positions, or all=true")
	}
	return positions, nil
}

func (c *handler) replayDeadLetters(w http.ResponseWriter, r *http.Request) {
	positions, err := positionsOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	replayed, err := c.store.ReplayDeadLetters(r.Context(), positions)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, replayed)
}

func (c *handler) dropDeadLetters(w http.ResponseWriter, r *http.Request) {
	positions, err := positionsOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	n, err := c.store.DropDeadLetters(positions)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, dropped{n})
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, fmt.Errorf("the answer has no JSON form: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a caller that has gone by now can't be told anything
}

func fail(w http.ResponseWriter, err error) {
	e := asError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}

func badRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// asError gives an error of the store its status and hint.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Status: http.StatusInternalServerError, Text: err.Error()}
	if status, hint := accountError(err); status != 0 {
		e.Status, e.Hint = status, hint
		return e
	}
	if status, hint := commandError(err); status != 0 {
		e.Status, e.Hint = status, hint
		return e
	}
	switch {
	case errors.Is(err, store.ErrNoDevice):
		e.Status, e.Hint = http.StatusNotFound, "telemetry-hub device list shows the devices there are"
	case errors.Is(err, store.ErrExists):
		e.Status, e.Hint = http.StatusConflict, "telemetry-hub device rotate gives an existing device a new token"
	case errors.Is(err, store.ErrNoExport):
		e.Status, e.Hint = http.StatusConflict, "run the hub with --influx-url"
	case errors.Is(err, certificate.ErrNone):
		e.Status, e.Hint = http.StatusNotFound, "a hub without --tls-cert makes it at its first start"
	case errors.Is(err, certificate.ErrGiven):
		e.Status, e.Hint = http.StatusConflict, "put a new one into the files of --tls-cert and --tls-key, then reload the hub: systemctl reload telemetry-hub"
	case errors.Is(err, names.ErrBad):
		e.Status = http.StatusBadRequest
	}
	return e
}
