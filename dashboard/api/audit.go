package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

const (
	defaultAudit = 100
	maxAudit     = 1000 // in one answer
)

// AuditEntry is an entry of the audit trail.
type AuditEntry struct {
	Number  uint64           `json:"number"`
	At      int64            `json:"at"`
	By      string           `json:"by"`
	From    string           `json:"from,omitempty"`
	Action  string           `json:"action"`
	Device  string           `json:"device,omitempty"`
	Command device.CommandID `json:"command,omitzero"`
	Text    string           `json:"text,omitempty"`
}

// AuditEntries is a part of the audit trail.
type AuditEntries struct {
	Entries []AuditEntry `json:"entries"`        // newest first
	Next    uint64       `json:"next,omitempty"` // before=next asks for the page behind this one; absent: there is none
}

func (a *API) serveAudit(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	f := store.AuditFilter{
		Device: q.text("device"), Since: q.moment("since", a.now()), After: uint64(q.number("after", 0, 0, 1<<53)),
		Before: uint64(q.number("before", 0, 0, 1<<53)), Limit: int(q.number("limit", defaultAudit, 1, maxAudit)),
	}
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	list, err := a.store.AuditTrail(f)
	if err != nil {
		a.Failed(w, err)
		return
	}
	out := AuditEntries{Entries: make([]AuditEntry, len(list))}
	for i, e := range list {
		out.Entries[i] = AuditEntry{e.Number, Millis(e.At), e.By, e.From, e.Action, e.Device, e.Command, e.Text}
	}
	if len(list) == f.Limit {
		out.Next = list[len(list)-1].Number
	}
	patient(w)
	Answer(w, http.StatusOK, out)
}
