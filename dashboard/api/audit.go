package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// AuditEntry is an entry of the audit trail.
type AuditEntry struct {
	Number  uint64           `json:"number"`
	At      live.Millis      `json:"at"`
	By      string           `json:"by"`
	From    string           `json:"from,omitempty"`
	Action  string           `json:"action"`
	Device  string           `json:"device,omitempty"`
	Command device.CommandID `json:"command,omitzero"`
	Text    string           `json:"text,omitempty"`
}

// AuditEntries is a page of the audit trail.
type AuditEntries struct {
	Entries []AuditEntry `json:"entries"` // newest first; with after, oldest first
	Next    string       `json:"next,omitempty"`
}

func (a *API) serveAudit(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	n := q.numbered(defaultPage, maxPage, true)
	f := audit.Filter{
		Device: q.text("device"), Since: q.moment("since", a.now()), After: n.after, Before: n.before, Limit: n.limit, OldestFirst: n.ascending,
	}
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	list, err := a.store.Audit.Entries(f)
	if err != nil {
		a.Failed(w, err)
		return
	}
	out := AuditEntries{
		Entries: make([]AuditEntry, len(list)), Next: n.next(len(list), func() uint64 { return list[len(list)-1].Number }),
	}
	for i, e := range list {
		out.Entries[i] = AuditEntry{e.Number, Millis(e.At), e.By, e.From, e.Action, e.Device, e.Command, e.Text}
	}
	patient(w)
	Answer(w, http.StatusOK, out)
}
