package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// ViaSocket is the Via of who comes over the Unix socket of the hub's machine.
const ViaSocket = "socket"

// Caller is who sends a request, with the role that decides what it may do.
type Caller struct {
	accounts.Identity
	By   string // as the audit trail and the records of commands have it
	From string // the other end of the connection, and the way in
}

// Account is what a caller counts for where something is shared out. A user and an API key may have the same name.
func (c Caller) Account() string { return c.Via + " " + c.Name }

func (c Caller) party() limit.Party { return limit.Party{Name: c.Account(), Known: true} }

// audit enters what somebody did. It is done by then: if it can't be entered, the store raises an alarm.
func (a *API) audit(by Caller, action, deviceID, text string) {
	_ = a.store.Audit.Enter(audit.Entry{By: by.By, From: by.From, Action: action, Device: deviceID, Text: text})
}

// CallerField is the header that names the person at the command line.
const CallerField = "Telemetry-Hub-Caller"

// OnSocket identifies who comes over the Unix socket. Only root and the hub's own user can, so what they say of themselves is
// as good as it gets.
func OnSocket(r *http.Request) (Caller, error) {
	by := r.Header.Get(CallerField)
	if by == "" {
		by = "unknown"
	}
	return Caller{Identity: accounts.Identity{Name: by, Role: accounts.RoleAdmin, Via: ViaSocket}, By: by, From: "command line"}, nil
}
