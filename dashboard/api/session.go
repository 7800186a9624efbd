package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// Session says who is logged in.
type Session struct {
	User    string        `json:"user"` // or the API key's name
	Role    accounts.Role `json:"role"`
	Via     string        `json:"via"`               // session, key or socket
	Expires live.Millis   `json:"expires,omitempty"` // ms since 1970; absent: never
	Version string        `json:"version"`           // of the hub
	Now     live.Millis   `json:"now"`               // ms since 1970
}

// Session describes who asks.
func (a *API) Session(by Caller) Session {
	return Session{
		User: by.Name, Role: by.Role, Via: by.Via, Expires: Millis(by.Expires), Version: a.version, Now: Millis(a.now()),
	}
}

func (a *API) serveSession(w http.ResponseWriter, _ *http.Request, by Caller) {
	Answer(w, http.StatusOK, a.Session(by))
}
