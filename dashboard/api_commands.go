package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

const (
	defaultCommands = 100
	maxCommandList  = 1000 // in one answer

	maxWait       = time.Minute // for a command to be settled
	maxWaits      = 64          // requests that wait at one time
	maxWaitsOfOne = 16          // of one account
)

func (d *Dashboard) commandRoutes() {
	d.mux.HandleFunc("POST /api/v1/devices/{id}/commands", d.require(store.RoleOperator, d.sendCommand))
	d.mux.HandleFunc("GET /api/v1/commands", d.require(store.RoleViewer, d.serveCommands))
	d.mux.HandleFunc("GET /api/v1/commands/{id}", d.require(store.RoleViewer, d.serveCommand))
	d.mux.HandleFunc("DELETE /api/v1/commands/{id}", d.require(store.RoleOperator, d.cancelCommand))
	d.mux.HandleFunc("GET /api/v1/devices/{id}/settings", d.require(store.RoleViewer, d.serveSettings))
	d.mux.HandleFunc("PUT /api/v1/devices/{id}/settings/{channel}", d.require(store.RoleOperator, d.setDesired))
	d.mux.HandleFunc("DELETE /api/v1/devices/{id}/settings/{channel}", d.require(store.RoleOperator, d.clearDesired))
	d.mux.HandleFunc("GET /api/v1/audit", d.require(store.RoleAdmin, d.serveAudit))
}

// commandRequest is a command to be sent, over REST or STOMP.
type commandRequest struct {
	ID   device.CommandID  `json:"id"` // made by who sends it, and the same when it is sent again
	Name string            `json:"name"`
	Args map[string]scalar `json:"args"`
	TTL  int64             `json:"ttl_ms"` // 0: store.DefaultCommandTTL
}

// maxTTL bounds ttl_ms to what a duration can hold; the store has the real bound.
const maxTTL = int64(365 * 24 * time.Hour / time.Millisecond)

// command is what the store is asked for.
func (q *commandRequest) command(deviceID string, by actor) store.NewCommand {
	n := store.NewCommand{
		ID: q.ID, Device: deviceID, Name: q.Name, TTL: time.Duration(min(max(q.TTL, -1), maxTTL)) * time.Millisecond, By: by.name, From: by.from,
	}
	if len(q.Args) > 0 {
		n.Args = make(map[string]any, len(q.Args))
		for name, v := range q.Args {
			n.Args[name] = v.value
		}
	}
	return n
}

// scalar is a value in a request: bool, int64, float64 or string. Integers are exact.
type scalar struct{ value any }

var errScalar = errors.New("a value is true, false, a number or a text")

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&s.value); err != nil {
		return err
	}
	switch v := s.value.(type) {
	case bool, string:
		return nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			s.value = n
			return nil
		}
		f, err := v.Float64()
		s.value = f
		return err
	}
	return errScalar
}

// sendCommand answers POST /api/v1/devices/{id}/commands. Sent again with the same id, it answers how far the command has got.
func (d *Dashboard) sendCommand(w http.ResponseWriter, r *http.Request, by store.Identity) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	var in commandRequest
	if !readJSON(w, r, &in) {
		return
	}
	if in.ID == (device.CommandID{}) {
		fail(w, http.StatusBadRequest, "the command has no id", "make a random UUID for each command, and send the same one if you send the command again")
		return
	}
	if pause := d.paceCommands(by); pause > 0 {
		tryLater(w, http.StatusTooManyRequests, pause, "too many commands")
		return
	}
	c, err := d.store.SendCommand(in.command(r.PathValue("id"), actorOf(by, r)))
	if err == nil && wait > 0 {
		c, err = d.await(w, r, by, c, wait)
	}
	d.answerCommand(w, &c, err)
}

func (d *Dashboard) answerCommand(w http.ResponseWriter, c *store.Command, err error) {
	if err != nil {
		d.failed(w, err)
		return
	}
	answer(w, http.StatusOK, live.CommandStatusOf(c))
}

// await returns the command when it is settled, or as it is when the time is over or the hub stops. If too many wait already, it
// does not wait.
func (d *Dashboard) await(w http.ResponseWriter, r *http.Request, by store.Identity, c store.Command, wait time.Duration) (store.Command, error) {
	if d.waits.enter(r.Context(), partyOf(by)) != nil {
		return c, nil
	}
	defer d.waits.leave(partyOf(by))
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerTime))
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(d.ending, cancel)()
	return d.store.AwaitCommand(ctx, c.ID)
}

// commandsAnswer is a list of commands, newest first.
type commandsAnswer struct {
	Commands []live.CommandStatus `json:"commands"`
	Next     uint64               `json:"next,omitempty"` // before=next asks for the page behind this one; absent: there is none
}

func (d *Dashboard) serveCommands(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	q := readQuery(r)
	f := store.CommandFilter{
		Device: q.text("device"), Since: q.moment("since", d.now()), Before: uint64(q.number("before", 0, 0, 1<<53)),
		Limit: int(q.number("limit", defaultCommands, 1, maxCommandList)),
	}
	states := store.CommandStates()
	for _, text := range q.texts("state", len(states)+1) {
		switch state := store.CommandState(text); {
		case text == "":
		case text == "pending":
			f.States = append(f.States, store.CommandQueued, store.CommandSent)
		case slices.Contains(states, state):
			f.States = append(f.States, state)
		default:
			q.bad("there is no state %.40q", text)
		}
	}
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	list, err := d.store.Commands(f)
	if err != nil {
		d.failed(w, err)
		return
	}
	out := commandsAnswer{Commands: make([]live.CommandStatus, len(list))}
	for i := range list {
		out.Commands[i] = live.CommandStatusOf(&list[i])
	}
	if len(list) == f.Limit {
		out.Next = list[len(list)-1].Number
	}
	patient(w)
	answer(w, http.StatusOK, out)
}

// commandID reads the id in the path. If it is none, it answers, and returns false.
func (d *Dashboard) commandID(w http.ResponseWriter, r *http.Request) (id device.CommandID, ok bool) {
	id, err := device.ParseCommandID(r.PathValue("id"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error(), "")
	}
	return id, err == nil
}

// serveCommand answers GET /api/v1/commands/{id}: with wait, when the command is settled.
func (d *Dashboard) serveCommand(w http.ResponseWriter, r *http.Request, by store.Identity) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	id, ok := d.commandID(w, r)
	if !ok {
		return
	}
	c, err := d.store.Command(id)
	if err == nil && wait > 0 {
		c, err = d.await(w, r, by, c, wait)
	}
	d.answerCommand(w, &c, err)
}

func (d *Dashboard) cancelCommand(w http.ResponseWriter, r *http.Request, by store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	id, ok := d.commandID(w, r)
	if !ok {
		return
	}
	who := actorOf(by, r)
	c, err := d.store.CancelCommand(id, who.name, who.from)
	d.answerCommand(w, &c, err)
}

// commandPace is how many commands one user or API key may send: more at first, then five a second.
var commandPace = allowance{"command", 10, 200 * time.Millisecond}

// paceCommands counts a command that somebody sends, and returns 0; or how long to wait if there were too many.
func (d *Dashboard) paceCommands(by store.Identity) (wait time.Duration) {
	return d.commanders.take([]suspect{d.commanders.suspect(commandPace, accountOf(by))})
}

// commandProblem is how an error about commands and desired values is answered; 0 if it is none.
func commandProblem(err error) (status int, hint string) {
	e, ok := errors.AsType[*store.CommandError](err)
	switch {
	case !ok:
		return 0, ""
	case errors.Is(err, store.ErrNoCommand):
		return http.StatusNotFound, e.Hint
	case errors.Is(err, store.ErrCommandConflict), errors.Is(err, store.ErrCommandTooLate):
		return http.StatusConflict, e.Hint
	case errors.Is(err, store.ErrCommandsFull):
		return http.StatusTooManyRequests, e.Hint
	}
	return http.StatusBadRequest, e.Hint
}
