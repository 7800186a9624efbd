package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// answerTime is how long a reader may take for an answer that may be large.
const answerTime = time.Minute

func (a *API) serveHub(w http.ResponseWriter, r *http.Request, _ Caller) {
	if a.noQuery(w, r) {
		Answer(w, http.StatusOK, a.feed.Hub())
	}
}

// Events is what happened lately.
type Events struct {
	Epoch  string       `json:"epoch"`  // of the run of the hub that counts the events; another one begins anew
	Events []live.Event `json:"events"` // newest first; with after, oldest first
	Next   string       `json:"next,omitempty"`
}

func (a *API) serveEvents(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	device, n := q.text("device"), q.numbered(defaultPage, maxPage, true)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	out := Events{Epoch: a.feed.Epoch()}
	if n.ascending {
		out.Events = a.feed.EventsAfter(device, n.after, n.limit)
		slices.Reverse(out.Events)
	} else {
		out.Events = a.feed.EventsBefore(device, n.before, n.limit)
	}
	out.Next = n.next(len(out.Events), func() uint64 { return out.Events[len(out.Events)-1].Number })
	Answer(w, http.StatusOK, out)
}

// noQuery answers with an error, and returns false, if the request has parameters.
func (a *API) noQuery(w http.ResponseWriter, r *http.Request) bool {
	err := readQuery(r).end()
	if err != nil {
		a.Failed(w, err)
	}
	return err == nil
}

// patient gives the reader of what may be a large answer more time than others have.
func patient(w http.ResponseWriter) {
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
}
