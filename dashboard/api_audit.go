package dashboard

import (
	"net"
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// actor is who does something, and from where, as the audit trail and the records of commands have it.
type actor struct{ name, from string }

// actorOf is who sends a request: a page, with a session, or a script, with an API key.
func actorOf(id store.Identity, r *http.Request) actor {
	if id.Via == store.ViaKey {
		return actor{actorName(id), origin(r, "REST")}
	}
	return actor{actorName(id), origin(r, "page")}
}

// actorName tells an API key from a user of the same name: names have no spaces.
func actorName(id store.Identity) string {
	if id.Via == store.ViaKey {
		return "API key " + id.Name
	}
	return id.Name
}

// origin is the other end of a connection, and the way in.
func origin(r *http.Request, way string) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return host + " (" + way + ")"
}

// audit enters what somebody did. It is done by then: if it can't be entered, the store raises an alarm.
func (d *Dashboard) audit(by actor, action, deviceID, text string) {
	_ = d.store.Audit(store.AuditEntry{By: by.name, From: by.from, Action: action, Device: deviceID, Text: text})
}

const (
	defaultAudit = 100
	maxAudit     = 1000 // in one answer
)

// auditEntryAnswer is an entry of the audit trail.
type auditEntryAnswer struct {
	Number  uint64           `json:"number"`
	At      int64            `json:"at"`
	By      string           `json:"by"`
	From    string           `json:"from,omitempty"`
	Action  string           `json:"action"`
	Device  string           `json:"device,omitempty"`
	Command device.CommandID `json:"command,omitzero"`
	Text    string           `json:"text,omitempty"`
}

// auditAnswer is a part of the audit trail.
type auditAnswer struct {
	Entries []auditEntryAnswer `json:"entries"`        // newest first
	Next    uint64             `json:"next,omitempty"` // before=next asks for the page behind this one; absent: there is none
}

func (d *Dashboard) serveAudit(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	q := readQuery(r)
	f := store.AuditFilter{
		Device: q.text("device"), Since: q.moment("since", d.now()), After: uint64(q.number("after", 0, 0, 1<<53)),
		Before: uint64(q.number("before", 0, 0, 1<<53)), Limit: int(q.number("limit", defaultAudit, 1, maxAudit)),
	}
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	list, err := d.store.AuditTrail(f)
	if err != nil {
		d.failed(w, err)
		return
	}
	out := auditAnswer{Entries: make([]auditEntryAnswer, len(list))}
	for i, e := range list {
		out.Entries[i] = auditEntryAnswer{e.Number, millis(e.At), e.By, e.From, e.Action, e.Device, e.Command, e.Text}
	}
	if len(list) == f.Limit {
		out.Next = list[len(list)-1].Number
	}
	patient(w)
	answer(w, http.StatusOK, out)
}
