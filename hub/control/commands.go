package control

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

const (
	maxCommand  = 64 << 10 // bytes of a request
	awaitMost   = time.Minute
	callerField = "Telemetry-Hub-Caller" // header: the person at the command line
)

// NewCommand is a command to be sent. Arguments are texts, as people type them.
type NewCommand struct {
	ID   device.CommandID  `json:"id,omitzero"` // zero: a new one
	Name string            `json:"name"`
	Args map[string]string `json:"args,omitempty"`
	TTL  time.Duration     `json:"ttl_ns,omitempty"` // 0: commands.DefaultTTL
}

// desiredValue is the body of PUT /devices/{id}/settings/{channel}.
type desiredValue struct {
	Value string `json:"value"`
}

func (c *handler) commandRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /devices/{id}/commands", c.sendCommand)
	mux.HandleFunc("GET /commands", c.commands)
	mux.HandleFunc("GET /commands/{command}", c.command)
	mux.HandleFunc("POST /commands/{command}/cancel", c.cancelCommand)
	mux.HandleFunc("GET /devices/{id}/settings", c.settings)
	mux.HandleFunc("PUT /devices/{id}/settings/{channel}", c.setDesired)
	mux.HandleFunc("DELETE /devices/{id}/settings/{channel}", c.clearDesired)
	mux.HandleFunc("GET /audit", c.audit)
}

// callerOf is who asks. Only root and the hub's own user can, so what they say of themselves is as good as it gets.
func callerOf(r *http.Request) (by, from string) {
	by = r.Header.Get(callerField)
	if by == "" {
		by = "unknown"
	}
	return by, "command line"
}

// auditDevices enters what was done to devices. It is done by then: if it can't be entered, the store raises an alarm.
func (c *handler) auditDevices(r *http.Request, action string, ids ...string) {
	by, from := callerOf(r)
	entries := make([]audit.Entry, len(ids))
	for i, id := range ids {
		entries[i] = audit.Entry{By: by, From: from, Action: action, Device: id}
	}
	_ = c.store.Audit.Enter(entries...)
}

func (c *handler) sendCommand(w http.ResponseWriter, r *http.Request) {
	var n NewCommand
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&n); err != nil {
		fail(w, badRequest("read the command: %v", err))
		return
	}
	by, from := callerOf(r)
	id := r.PathValue("id")
	command, err := c.store.Commands.Send(commands.New{
		ID: n.ID, Device: id, Name: n.Name, Args: c.store.Commands.ParseArgs(id, n.Name, n.Args), TTL: n.TTL, By: by, From: from,
	})
	respond(w, command, err)
}

// respond answers with v, or with the error if there is one.
func respond(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, v)
}

func (c *handler) commands(w http.ResponseWriter, r *http.Request) {
	q := pageQuery{values: r.URL.Query()}
	f := commands.Filter{Device: q.values.Get("device"), Since: q.time("since"), Before: q.number("before"), Limit: int(min(q.number("limit"), math.MaxInt32))}
	for _, state := range q.values["state"] {
		f.States = append(f.States, commands.State(state))
	}
	if q.err != nil {
		fail(w, q.err)
		return
	}
	list, err := c.store.Commands.List(f)
	respond(w, list, err)
}

// command answers with a command: when it is settled, if the caller waits for that long.
func (c *handler) command(w http.ResponseWriter, r *http.Request) {
	id, err := device.ParseCommandID(r.PathValue("command"))
	if err != nil {
		fail(w, badRequest("%v", err))
		return
	}
	wait := time.Duration(0)
	if s := r.FormValue("wait"); s != "" {
		if wait, err = time.ParseDuration(s); err != nil {
			fail(w, badRequest("wait: %v", err))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(max(wait, 0), awaitMost))
	defer cancel()
	command, err := c.store.Commands.Await(ctx, id)
	respond(w, command, err)
}

func (c *handler) cancelCommand(w http.ResponseWriter, r *http.Request) {
	id, err := device.ParseCommandID(r.PathValue("command"))
	if err != nil {
		fail(w, badRequest("%v", err))
		return
	}
	by, from := callerOf(r)
	command, err := c.store.Commands.Cancel(id, by, from)
	respond(w, command, err)
}

func (c *handler) settings(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := c.store.Device(id); err != nil {
		fail(w, err)
		return
	}
	answer(w, c.store.Settings.List(id))
}

func (c *handler) setDesired(w http.ResponseWriter, r *http.Request) {
	var v desiredValue
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&v); err != nil {
		fail(w, badRequest("read the value: %v", err))
		return
	}
	by, from := callerOf(r)
	id, channel := r.PathValue("id"), r.PathValue("channel")
	set, err := c.store.Settings.Set(id, channel, c.store.Settings.Parse(id, channel, v.Value), by, from)
	respond(w, set, err)
}

func (c *handler) clearDesired(w http.ResponseWriter, r *http.Request) {
	by, from := callerOf(r)
	if err := c.store.Settings.Clear(r.PathValue("id"), r.PathValue("channel"), by, from); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *handler) audit(w http.ResponseWriter, r *http.Request) {
	q := pageQuery{values: r.URL.Query()}
	f := audit.Filter{
		Device: q.values.Get("device"), Since: q.time("since"), After: q.number("after"), Before: q.number("before"), Limit: int(min(q.number("limit"), math.MaxInt32)),
	}
	if q.err != nil {
		fail(w, q.err)
		return
	}
	list, err := c.store.Audit.Entries(f)
	respond(w, list, err)
}

// pageQuery reads the parameters of a page and keeps the first error.
type pageQuery struct {
	values url.Values
	err    error
}

func (q *pageQuery) number(name string) uint64 {
	s := q.values.Get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil && q.err == nil {
		q.err = badRequest("%s: %q is not a number", name, s)
	}
	return n
}

func (q *pageQuery) time(name string) time.Time {
	s := q.values.Get(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil && q.err == nil {
		q.err = badRequest("%s: %q is not an RFC 3339 time", name, s)
	}
	return t
}

// commandError gives an error about commands its status; 0 if it is none.
func commandError(err error) (status int, hint string) {
	e, ok := errors.AsType[*commands.Error](err)
	switch {
	case !ok:
		return 0, ""
	case errors.Is(err, commands.ErrNone):
		return http.StatusNotFound, e.Hint
	case errors.Is(err, commands.ErrConflict), errors.Is(err, commands.ErrTooLate):
		return http.StatusConflict, e.Hint
	case errors.Is(err, commands.ErrFull):
		return http.StatusTooManyRequests, e.Hint
	}
	return http.StatusBadRequest, e.Hint
}
