package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

const (
	defaultLetters = 50
	maxLetters     = 200  // in one answer: 16 KiB each
	maxPositions   = 1000 // in one request
)

// DeadLetter is a dead letter.
type DeadLetter struct {
	Position uint64      `json:"position"`
	Device   string      `json:"device"`
	Received live.Millis `json:"received"`
	Seq      uint64      `json:"seq,omitempty"`    // absent: unreadable
	Code     uint8       `json:"code,omitempty"`   // of the rejection
	Reason   string      `json:"reason,omitempty"` // the code in words
	Text     string      `json:"text"`
	Message  []byte      `json:"message"`         // in base64: as received, or line protocol if lines is there
	Lines    int         `json:"lines,omitempty"` // that InfluxDB refused; the frame itself is stored
}

type DeadLetters struct {
	Letters []DeadLetter `json:"dead_letters"` // oldest first
	Next    string       `json:"next,omitempty"`
}

func (a *API) serveDeadLetters(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	n := q.numbered(defaultLetters, maxLetters, false)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	letters, err := a.store.Ledger.DeadLetters(n.before, n.limit) // the oldest first: a cursor goes up
	if err != nil {
		a.Failed(w, err)
		return
	}
	out := DeadLetters{Letters: make([]DeadLetter, len(letters))}
	for i := range letters {
		out.Letters[i] = describeLetter(&letters[i])
	}
	out.Next = n.next(len(letters), func() uint64 { return letters[len(letters)-1].Position })
	patient(w)
	Answer(w, http.StatusOK, out)
}

func describeLetter(l *ledger.DeadLetter) DeadLetter {
	out := DeadLetter{
		Position: l.Position, Device: l.Device, Received: Millis(l.Received), Seq: l.Seq, Code: l.Code,
		Text: l.Text, Message: l.Message, Lines: l.Lines,
	}
	if l.Code != 0 {
		out.Reason = device.RejectCode(l.Code).String()
	}
	return out
}

func (a *API) serveDeadLetter(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	position, err := strconv.ParseUint(r.PathValue("position"), 10, 63)
	if err != nil || position == 0 {
		Fail(w, http.StatusBadRequest, "bad_parameter", "a position is a number above 0", "")
		return
	}
	letters, err := a.store.Ledger.DeadLetters(position-1, 1)
	switch {
	case err != nil:
		a.Failed(w, err)
	case len(letters) == 0 || letters[0].Position != position:
		Fail(w, http.StatusNotFound, "no_dead_letter", "there is no dead letter at position "+strconv.FormatUint(position, 10), "")
	default:
		Answer(w, http.StatusOK, describeLetter(&letters[0]))
	}
}

// Dropped says how many letters were dropped.
type Dropped struct {
	Dropped int `json:"dropped"`
}

func (a *API) dropDeadLetters(w http.ResponseWriter, r *http.Request, by Caller) {
	q := readQuery(r)
	var positions []uint64
	for _, text := range q.texts("position", maxPositions) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			q.bad("position %.40q is not a number", text)
		}
		positions = append(positions, n)
	}
	if all := q.yes("all"); all == (len(positions) > 0) {
		q.bad("name the positions, or all=true")
	}
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	n, err := a.store.Ledger.DropDeadLetters(positions)
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("dead letters dropped", "letters", n, "by", by.Name)
	a.audit(by, "dead letters dropped", "", strconv.Itoa(n))
	Answer(w, http.StatusOK, Dropped{n})
}

// Replayed says how the letters fared that were sent to InfluxDB again.
type Replayed struct {
	Replayed int `json:"replayed"` // accepted, and no longer a dead letter
	Refused  int `json:"refused"`  // still there
}

func (a *API) replayDeadLetters(w http.ResponseWriter, r *http.Request, by Caller) {
	var in struct {
		Positions []uint64 `json:"positions"`
		All       bool     `json:"all"`
	}
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	if in.All == (len(in.Positions) > 0) || len(in.Positions) > maxPositions {
		Fail(w, http.StatusBadRequest, "bad_request", "it is not said which letters", `send {"positions": [...]} with at most 1000, or {"all": true}`)
		return
	}
	patient(w)
	positions := in.Positions
	if in.All {
		positions = nil
	}
	done, err := a.store.ReplayDeadLetters(r.Context(), positions)
	if err == nil || done.Accepted+done.Refused > 0 {
		a.audit(by, "dead letters replayed", "", fmt.Sprintf("%d accepted, %d refused", done.Accepted, done.Refused))
	}
	if refusal, ok := errors.AsType[*influx.Refusal](err); ok {
		Fail(w, http.StatusBadGateway, "influx_refused", refusal.Error(), "telemetry-hub influx check says what is wrong; what was accepted before is no longer kept")
		return
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("dead letters replayed", "accepted", done.Accepted, "refused", done.Refused, "by", by.Name)
	Answer(w, http.StatusOK, Replayed{done.Accepted, done.Refused})
}
