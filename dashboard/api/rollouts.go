package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

const (
	maxRollouts     = 4  // running at a time
	keptRollouts    = 16 // of those that are over
	defaultRate     = 10 // devices a second
	maxRate         = 1000
	maxRolloutBytes = 8 << 20 // of a request: 100,000 devices by name
)

// NewRollout is one command to be sent to many devices: to those that are named, to those with all of the labels, or to all.
type NewRollout struct {
	ID            device.CommandID  `json:"id"` // made by who sends it, and the same when it is sent again
	Devices       []string          `json:"devices"`
	Labels        map[string]string `json:"labels"`
	All           bool              `json:"all"`
	Name          string            `json:"name"`
	Args          map[string]Scalar `json:"args"`
	Text          map[string]string `json:"args_text"`
	TTL           int64             `json:"ttl_ms"`          // of each command, from when it is sent
	Rate          float64           `json:"rate"`            // devices a second; 0: 10
	StopOnFailure bool              `json:"stop_on_failure"` // send to no more devices when one has not succeeded, and take back what is queued
	DryRun        bool              `json:"dry_run"`         // only say which devices it would go to
}

// Rollout is how far one command to many devices has got.
type Rollout struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	By        string      `json:"by"`
	Started   live.Millis `json:"started"`
	State     string      `json:"state"`     // running, stopping or over
	Devices   int         `json:"devices"`   // meant
	Sent      int         `json:"sent"`      // tried so far
	Open      int         `json:"open"`      // accepted, and not settled
	Succeeded int         `json:"succeeded"` // of those sent
	Failed    int         `json:"failed"`    // settled in any other way, or not accepted
}

// Outcome is what became of a command of a rollout to one device.
type Outcome struct {
	Device  string              `json:"device"`
	Command *live.CommandStatus `json:"command,omitempty"` // absent: not sent yet, or not accepted
	Error   string              `json:"error,omitempty"`   // why it was not accepted
}

// Outcomes is a page of the outcomes of a rollout.
type Outcomes struct {
	Outcomes []Outcome `json:"outcomes"` // by device
	Next     string    `json:"next,omitempty"`
}

// rollout returns the one in the path. If there is none, it answers, and returns nil.
func (a *API) rollout(w http.ResponseWriter, r *http.Request) *rollout {
	a.rollouts.mu.Lock()
	defer a.rollouts.mu.Unlock()
	id := strings.ToLower(r.PathValue("id"))
	i := slices.IndexFunc(a.rollouts.list, func(r *rollout) bool { return r.state.ID == id })
	if i < 0 {
		Fail(w, http.StatusNotFound, "no_rollout", "there is no such rollout", "rollouts are remembered for a while, and not when the hub starts again; GET /api/v1/commands has the commands")
		return nil
	}
	return a.rollouts.list[i]
}

// awaitRollout waits until a rollout is over, or for so long.
func (a *API) awaitRollout(w http.ResponseWriter, r *http.Request, by Caller, of *rollout, wait time.Duration) {
	if wait <= 0 || a.Waits.Enter(r.Context(), by.party()) != nil {
		return
	}
	defer a.Waits.Leave(by.party())
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerTime)) // a connection in tests has none
	enough := time.NewTimer(wait)
	defer enough.Stop()
	select {
	case <-of.over:
	case <-enough.C:
	case <-r.Context().Done():
	case <-a.ending.Done():
	}
}

func (a *API) startRollout(w http.ResponseWriter, r *http.Request, by Caller) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	in := NewRollout{}
	if !readJSON(w, r, maxRolloutBytes, &in) {
		return
	}
	if in.Rate == 0 {
		in.Rate = defaultRate
	}
	ids, err := a.targets(&in)
	switch {
	case err != nil:
	case in.DryRun:
		out := Outcomes{Outcomes: make([]Outcome, len(ids))}
		for i, id := range ids {
			out.Outcomes[i].Device = id
		}
		patient(w)
		Answer(w, http.StatusOK, RolloutStarted{Outcomes: out.Outcomes})
		return
	case in.ID == (device.CommandID{}):
		err = &Problem{Status: http.StatusBadRequest, Code: "bad_request", Detail: "the rollout has no id", Hint: "make a random UUID for each rollout, and send the same one if you send it again"}
	case in.Name == "":
		err = &Problem{Status: http.StatusBadRequest, Code: "bad_request", Detail: "the command has no name"}
	case in.Rate < 0.001 || in.Rate > maxRate:
		err = &Problem{Status: http.StatusBadRequest, Code: "bad_request", Detail: "rate is from 0.001 to 1000 devices a second"}
	}
	if pause := a.PaceCommands(by); err == nil && pause > 0 {
		TryLater(w, http.StatusTooManyRequests, pause, "throttled", "too many commands")
		return
	}
	var started *rollout
	if err == nil {
		started, err = a.start(&in, ids, by)
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("rollout started", "command", in.Name, "devices", len(ids), "by", by.Name)
	a.awaitRollout(w, r, by, started, wait)
	status := started.status()
	Answer(w, http.StatusAccepted, RolloutStarted{Rollout: &status})
}

// RolloutStarted answers who starts a rollout.
type RolloutStarted struct {
	Rollout  *Rollout  `json:"rollout,omitempty"`  // absent with dry_run
	Outcomes []Outcome `json:"outcomes,omitempty"` // with dry_run: the devices that it would go to
}

func (a *API) serveRollout(w http.ResponseWriter, r *http.Request, by Caller) {
	q := readQuery(r)
	wait := q.duration("wait", maxWait)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	if of := a.rollout(w, r); of != nil {
		a.awaitRollout(w, r, by, of, wait)
		Answer(w, http.StatusOK, of.status())
	}
}

func (a *API) serveOutcomes(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p := q.place(defaultPage, maxPage)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	of := a.rollout(w, r)
	if of == nil {
		return
	}
	of.mu.Lock()
	page, next := cut(of.outcomes, p, func(o *Outcome) string { return o.Device })
	out := Outcomes{slices.Clone(page), next}
	of.mu.Unlock()
	patient(w)
	Answer(w, http.StatusOK, out)
}

// stopRollout sends to no more devices, and takes back what is queued.
func (a *API) stopRollout(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	if of := a.rollout(w, r); of != nil {
		of.stop()
		a.log.Info("rollout stopped", "rollout", of.state.ID, "by", by.Name)
		Answer(w, http.StatusOK, of.status())
	}
}
