package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

const (
	defaultLetters = 50
	maxLetters     = 200  // in one answer: 16 KiB each
	maxPositions   = 1000 // in one request
)

// letterAnswer is a dead letter.
type letterAnswer struct {
	Position uint64 `json:"position"`
	Device   string `json:"device"`
	Received int64  `json:"received"`
	Seq      uint64 `json:"seq,omitempty"`    // absent: unreadable
	Code     uint8  `json:"code,omitempty"`   // of the rejection
	Reason   string `json:"reason,omitempty"` // the code in words
	Text     string `json:"text"`
	Message  []byte `json:"message"`         // in base64: as received, or line protocol if lines is there
	Lines    int    `json:"lines,omitempty"` // that InfluxDB refused; the frame itself is stored
}

type lettersAnswer struct {
	Letters []letterAnswer `json:"dead_letters"` // oldest first
}

func (d *Dashboard) serveDeadLetters(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	q := readQuery(r)
	after, limit := q.number("after", 0, 0, 1<<53), q.number("limit", defaultLetters, 1, maxLetters)
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	letters, err := d.store.DeadLetters(uint64(after), int(limit))
	if err != nil {
		d.failed(w, err)
		return
	}
	out := lettersAnswer{Letters: make([]letterAnswer, len(letters))}
	for i, l := range letters {
		out.Letters[i] = letterAnswer{
			Position: l.Position, Device: l.Device, Received: millis(l.Received), Seq: l.Seq, Code: l.Code,
			Text: l.Text, Message: l.Message, Lines: l.Lines,
		}
		if l.Code != 0 {
			out.Letters[i].Reason = device.RejectCode(l.Code).String()
		}
	}
	patient(w)
	answer(w, http.StatusOK, out)
}

// droppedAnswer says how many letters were dropped.
type droppedAnswer struct {
	Dropped int `json:"dropped"`
}

func (d *Dashboard) dropDeadLetters(w http.ResponseWriter, r *http.Request, by store.Identity) {
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
		d.failed(w, err)
		return
	}
	n, err := d.store.DropDeadLetters(positions)
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("dead letters dropped", "letters", n, "by", by.Name)
	d.audit(actorOf(by, r), "dead letters dropped", "", strconv.Itoa(n))
	answer(w, http.StatusOK, droppedAnswer{n})
}

// replayedAnswer says how the letters fared that were sent to InfluxDB again.
type replayedAnswer struct {
	Replayed int `json:"replayed"` // accepted, and no longer on the shelf
	Refused  int `json:"refused"`  // still there
}

func (d *Dashboard) replayDeadLetters(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in struct {
		Positions []uint64 `json:"positions"`
		All       bool     `json:"all"`
	}
	if !d.noQuery(w, r) || !readJSON(w, r, &in) {
		return
	}
	if in.All == (len(in.Positions) > 0) || len(in.Positions) > maxPositions {
		fail(w, http.StatusBadRequest, "it is not said which letters", `send {"positions": [...]} with at most 1000, or {"all": true}`)
		return
	}
	patient(w)
	positions := in.Positions
	if in.All {
		positions = nil
	}
	done, err := d.store.ReplayDeadLetters(r.Context(), positions)
	if err == nil || done.Accepted+done.Refused > 0 {
		d.audit(actorOf(by, r), "dead letters replayed", "", fmt.Sprintf("%d accepted, %d refused", done.Accepted, done.Refused))
	}
	if refusal, ok := errors.AsType[*influx.Refusal](err); ok {
		fail(w, http.StatusBadGateway, refusal.Error(), "telemetry-hub influx check says what is wrong; what was accepted before is no longer on the shelf")
		return
	}
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("dead letters replayed", "accepted", done.Accepted, "refused", done.Refused, "by", by.Name)
	answer(w, http.StatusOK, replayedAnswer{done.Accepted, done.Refused})
}
