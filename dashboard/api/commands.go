package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

const (
	maxWait       = time.Minute // for a command to be settled
	maxWaits      = 64          // requests that wait at one time
	MaxWaitsOfOne = 16          // of one account
)

// NewCommand is a command to be sent, over REST or STOMP.
type NewCommand struct {
	ID   device.CommandID  `json:"id"` // made by who sends it, and the same when it is sent again
	Name string            `json:"name"`
	Args map[string]Scalar `json:"args"`
	Text map[string]string `json:"args_text"` // arguments as people type them, instead: read as the device has announced them
	TTL  int64             `json:"ttl_ms"`    // 0: commands.DefaultTTL
}

// maxTTL bounds ttl_ms to what a duration can hold; the store has the real bound.
const maxTTL = int64(365 * 24 * time.Hour / time.Millisecond)

// Send has a command accepted for a device.
func (a *API) Send(in *NewCommand, deviceID string, by Caller) (commands.Command, error) {
	n := in.Command(deviceID, by)
	if len(in.Text) > 0 {
		if len(in.Args) > 0 {
			return commands.Command{}, fmt.Errorf("%w: args and args_text do not go together", errBody)
		}
		n.Args = a.store.Commands.ParseArgs(deviceID, in.Name, in.Text)
	}
	return a.store.Commands.Send(n)
}

// Command is what the store is asked for.
func (q *NewCommand) Command(deviceID string, by Caller) commands.New {
	n := commands.New{
		ID: q.ID, Device: deviceID, Name: q.Name, TTL: time.Duration(min(max(q.TTL, -1), maxTTL)) * time.Millisecond, By: by.By, From: by.From,
	}
	if len(q.Args) > 0 {
		n.Args = make(map[string]any, len(q.Args))
		for name, v := range q.Args {
			n.Args[name] = v.value
		}
	}
	return n
}

// Scalar is a value in a request: bool, int64, float64 or string. Integers are exact.
type Scalar struct{ value any }

var errScalar = errors.New("a value is true, false, a number or a text")

// UnmarshalJSON implements json.Unmarshaler.
func (s *Scalar) UnmarshalJSON(b []byte) error {
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
func (a *API) sendCommand(w http.ResponseWriter, r *http.Request, by Caller) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	var in NewCommand
	if !ReadJSON(w, r, &in) {
		return
	}
	if in.ID == (device.CommandID{}) && by.Via != ViaSocket { // of a person who has typed it, who can't type it again by mistake
		Fail(w, http.StatusBadRequest, "bad_request", "the command has no id", "make a random UUID for each command, and send the same one if you send the command again")
		return
	}
	if pause := a.PaceCommands(by); pause > 0 {
		TryLater(w, http.StatusTooManyRequests, pause, "throttled", "too many commands")
		return
	}
	c, err := a.Send(&in, r.PathValue("id"), by)
	if err == nil && wait > 0 {
		c, err = a.await(w, r, by, c, wait)
	}
	a.answerCommand(w, &c, err)
}

func (a *API) answerCommand(w http.ResponseWriter, c *commands.Command, err error) {
	if err != nil {
		a.Failed(w, err)
		return
	}
	Answer(w, http.StatusOK, live.CommandStatusOf(c))
}

// await returns the command when it is settled, or as it is when the time is over or the hub stops. If too many wait already, it
// does not wait.
func (a *API) await(w http.ResponseWriter, r *http.Request, by Caller, c commands.Command, wait time.Duration) (commands.Command, error) {
	if a.Waits.Enter(r.Context(), by.party()) != nil {
		return c, nil
	}
	defer a.Waits.Leave(by.party())
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerTime))
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(a.ending, cancel)()
	return a.store.Commands.Await(ctx, c.ID)
}

// Commands is a list of commands, newest first.
type Commands struct {
	Commands []live.CommandStatus `json:"commands"`
	Next     string               `json:"next,omitempty"`
}

func (a *API) serveCommands(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	n := q.numbered(defaultPage, maxPage, false)
	f := commands.Filter{Device: q.text("device"), Since: q.moment("since", a.now()), Before: n.before, Limit: n.limit}
	states := commands.States()
	for _, text := range q.texts("state", len(states)+1) {
		switch state := commands.State(text); {
		case text == "":
		case text == "pending":
			f.States = append(f.States, commands.Queued, commands.Sent)
		case slices.Contains(states, state):
			f.States = append(f.States, state)
		default:
			q.bad("there is no state %.40q", text)
		}
	}
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	list, err := a.store.Commands.List(f)
	if err != nil {
		a.Failed(w, err)
		return
	}
	out := Commands{Commands: make([]live.CommandStatus, len(list))}
	for i := range list {
		out.Commands[i] = live.CommandStatusOf(&list[i])
	}
	out.Next = n.next(len(list), func() uint64 { return list[len(list)-1].Number })
	patient(w)
	Answer(w, http.StatusOK, out)
}

// commandID reads the id in the path. If it is none, it answers, and returns false.
func (a *API) commandID(w http.ResponseWriter, r *http.Request) (id device.CommandID, ok bool) {
	id, err := device.ParseCommandID(r.PathValue("id"))
	if err != nil {
		Fail(w, http.StatusBadRequest, "bad_id", err.Error(), "")
	}
	return id, err == nil
}

// serveCommand answers GET /api/v1/commands/{id}: with wait, when the command is settled.
func (a *API) serveCommand(w http.ResponseWriter, r *http.Request, by Caller) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	id, ok := a.commandID(w, r)
	if !ok {
		return
	}
	c, err := a.store.Commands.Get(id)
	if err == nil && wait > 0 {
		c, err = a.await(w, r, by, c, wait)
	}
	a.answerCommand(w, &c, err)
}

func (a *API) cancelCommand(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	id, ok := a.commandID(w, r)
	if !ok {
		return
	}
	c, err := a.store.Commands.Cancel(id, by.By, by.From)
	a.answerCommand(w, &c, err)
}

// CommandPace is how many commands one user or API key may send: more at first, then five a second.
var CommandPace = limit.Allowance{Kind: "command", Burst: 10, Every: 200 * time.Millisecond}

// PaceCommands counts a command that somebody sends, and returns 0; or how long to wait if there were too many.
func (a *API) PaceCommands(by Caller) (wait time.Duration) {
	if by.Via == ViaSocket {
		return 0
	}
	return a.Commanders.Take([]limit.Suspect{a.Commanders.Suspect(CommandPace, by.Account())})
}
