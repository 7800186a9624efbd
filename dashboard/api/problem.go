package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/names"
)

const maxRequest = 64 << 10 // bytes of a JSON request

// Answer sends v as JSON. Nothing of it may be kept by the browser: it belongs to who is logged in.
func Answer(w http.ResponseWriter, status int, v any) {
	answerAs(w, status, "application/json", v)
}

func answerAs(w http.ResponseWriter, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		Fail(w, http.StatusInternalServerError, "internal", "the answer has no JSON form: "+err.Error(), "")
		return
	}
	header := w.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has gone by now can't be told anything
}

// Problem is the body of every answer that is not 2xx (RFC 9457).
type Problem struct {
	Type   string `json:"type"`   // about:blank: the code says more
	Title  string `json:"title"`  // of the status
	Status int    `json:"status"` // HTTP status
	Detail string `json:"detail"` // what is wrong, for people
	Code   string `json:"code"`   // what is wrong, for programs: it stays when the words change
	Hint   string `json:"hint,omitempty"`
	Setup  bool   `json:"setup,omitempty"` // with 401: there are no users yet
}

func (p *Problem) Error() string { return p.Detail }

// Fail answers with a problem.
func Fail(w http.ResponseWriter, status int, code, detail, hint string) {
	(&Problem{Status: status, Code: code, Detail: detail, Hint: hint}).answer(w)
}

func (p *Problem) answer(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	answerAs(w, p.Status, "application/problem+json", p)
}

// TryLater answers with a problem that is over after a while.
func TryLater(w http.ResponseWriter, status int, wait time.Duration, code, text string) {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	Fail(w, status, code, text, fmt.Sprintf("try again in %d s", seconds))
}

// Unauthenticated answers who is not logged in.
func (a *API) Unauthenticated(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="telemetry-hub"`)
	p := Problem{
		Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "not logged in",
		Hint: "log in, or send an API key: Authorization: Bearer KEY", Setup: !a.store.Accounts.HasUsers(),
	}
	if p.Setup {
		p.Hint = "there are no users yet: open the setup link that the hub printed when it started, or use telemetry-hub user add"
	}
	p.answer(w)
}

// ReadJSON reads the request's body into v. If it can't, it answers, and returns false.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	return readJSON(w, r, maxRequest, v)
}

func readJSON(w http.ResponseWriter, r *http.Request, most int64, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	dec.DisallowUnknownFields()
	err, whole := dec.Decode(v), false
	if err == nil {
		if _, err = dec.Token(); err == nil {
			err = errors.New("there is more behind the first value")
		}
		whole = errors.Is(err, io.EOF)
	}
	patient(w) // the body may have taken longer than there is for an answer, from when the request came
	if whole {
		return true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		Fail(w, http.StatusRequestEntityTooLarge, "too_large", "the request is too large", "")
		return false
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		Fail(w, http.StatusRequestTimeout, "too_slow", "the request did not come in time", "")
		return false
	}
	Fail(w, http.StatusBadRequest, "bad_json", "the request is not the JSON that is expected here: "+err.Error(), "/api/v1/openapi.json describes it")
	return false
}

// Millis is t in ms since 1970, 0 for none.
func Millis(t time.Time) live.Millis {
	if t.IsZero() {
		return 0
	}
	return live.Millis(t.UnixMilli())
}

// errBody is wrapped by what is wrong with the body of a request; the texts are for people.
var errBody = errors.New("bad request")

// errNoHub says that something needs a running hub.
var errNoHub = errors.New("no hub runs on this data directory")

// problems says how errors are answered.
var problems = []struct {
	err    error
	status int
	code   string
	hint   string
}{
	{accounts.ErrNoUser, http.StatusNotFound, "no_user", ""},
	{accounts.ErrNoAPIKey, http.StatusNotFound, "no_api_key", ""},
	{accounts.ErrUserExists, http.StatusConflict, "user_exists", "choose another name"},
	{accounts.ErrAPIKeyExists, http.StatusConflict, "api_key_exists", "choose another name, or remove the key first"},
	{accounts.ErrLastAdmin, http.StatusConflict, "last_admin", "make somebody else an admin first"},
	{accounts.ErrSetupDone, http.StatusConflict, "setup_done", "log in"},
	{names.ErrBad, http.StatusBadRequest, "bad_name", ""},
	{accounts.ErrBadRole, http.StatusBadRequest, "bad_role", ""},
	{accounts.ErrBadPassword, http.StatusBadRequest, "bad_password", ""},
	{errNoHub, http.StatusServiceUnavailable, "no_hub", "telemetry-hub serve runs one"},
	{accounts.ErrBusy, http.StatusServiceUnavailable, "busy", "try again in a moment"},
	{limit.ErrBusy, http.StatusServiceUnavailable, "busy", "try again in a moment"},
	{store.ErrClosed, http.StatusServiceUnavailable, "stopping", "the hub is stopping; try again in a moment"},
	{devices.ErrNoDevice, http.StatusNotFound, "no_device", "GET /api/v1/devices lists the devices there are"},
	{devices.ErrExists, http.StatusConflict, "device_exists", "choose another id, or give the device that has it a new token"},
	{store.ErrNoExport, http.StatusConflict, "no_export", "run the hub with --influx-url"},
	{certificate.ErrNone, http.StatusNotFound, "no_certificate", "a hub without --tls-cert makes it at its first start"},
	{certificate.ErrGiven, http.StatusConflict, "certificate_given", "put a new one into the files of --tls-cert and --tls-key, then reload the hub: systemctl reload telemetry-hub"},
	{history.ErrTooFine, http.StatusBadRequest, "too_fine", "ask for fewer points or fewer channels"},
	{live.ErrBadList, http.StatusBadRequest, "bad_parameter", "/api/v1/openapi.json describes the parameters"},
	{errBody, http.StatusBadRequest, "bad_request", "/api/v1/openapi.json describes the request"},
	{errQuery, http.StatusBadRequest, "bad_parameter", "/api/v1/openapi.json describes the parameters"},
}

// problemOf says how an error is answered.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: err.Error(), Hint: "the hub's log says more"}
	for _, e := range problems {
		if errors.Is(err, e.err) {
			p.Status, p.Code, p.Hint = e.status, e.code, e.hint
			break
		}
	}
	if e, ok := errors.AsType[*commands.Error](err); ok {
		p.Status, p.Code, p.Hint = http.StatusBadRequest, "bad_command", e.Hint
		switch {
		case errors.Is(err, commands.ErrNone):
			p.Status, p.Code = http.StatusNotFound, "no_command"
		case errors.Is(err, commands.ErrConflict):
			p.Status, p.Code = http.StatusConflict, "command_conflict"
		case errors.Is(err, commands.ErrTooLate):
			p.Status, p.Code = http.StatusConflict, "command_too_late"
		case errors.Is(err, commands.ErrFull):
			p.Status, p.Code = http.StatusTooManyRequests, "too_many_commands"
		}
	}
	return p
}

// Failed answers with an error of the store.
func (a *API) Failed(w http.ResponseWriter, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		a.log.Error("a request failed", "error", err)
	}
	p.answer(w)
}
