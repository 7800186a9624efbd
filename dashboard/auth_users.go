package dashboard

import (
	"errors"
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// userAnswer is a user.
type userAnswer struct {
	Name    string     `json:"name"`
	Role    store.Role `json:"role"`
	Created int64      `json:"created"` // ms since 1970
}

func describeUser(u store.User) userAnswer {
	return userAnswer{Name: u.Name, Role: u.Role, Created: millis(u.Created)}
}

// apiKeyAnswer is an API key; the key itself is there only when it has just been made.
type apiKeyAnswer struct {
	Name     string     `json:"name"`
	Role     store.Role `json:"role"`
	Created  int64      `json:"created"`             // ms since 1970
	LastUsed int64      `json:"last_used,omitempty"` // likewise, to the minute
	Key      string     `json:"key,omitempty"`
}

func (d *Dashboard) serveUsers(w http.ResponseWriter, _ *http.Request, _ store.Identity) {
	list := []userAnswer{}
	for _, u := range d.store.Users() {
		list = append(list, describeUser(u))
	}
	answer(w, http.StatusOK, list)
}

func (d *Dashboard) addUser(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in struct {
		Name     string     `json:"name"`
		Password string     `json:"password"`
		Role     store.Role `json:"role"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if err := d.store.AddUser(in.Name, in.Password, in.Role); err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("user added", "user", store.UserName(in.Name), "role", in.Role, "by", by.Name)
	d.audit(actorOf(by, r), "user added", "", store.UserName(in.Name)+", "+string(in.Role))
	d.answerUser(w, http.StatusCreated, in.Name)
}

func (d *Dashboard) answerUser(w http.ResponseWriter, status int, name string) {
	u, err := d.store.User(name)
	if err != nil {
		d.failed(w, err)
		return
	}
	answer(w, status, describeUser(u))
}

// changeUser answers PATCH /api/v1/users/{name}: another role, another password, or both.
func (d *Dashboard) changeUser(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in struct {
		Role     store.Role `json:"role"`
		Password string     `json:"password"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	name := store.UserName(r.PathValue("name"))
	switch {
	case in.Role == "" && in.Password == "":
		fail(w, http.StatusBadRequest, "nothing to change", "send a role, a password or both")
		return
	case in.Password != "" && by.Via == store.ViaSession && by.Name == name:
		fail(w, http.StatusBadRequest, "this is your own password", "change it with POST /api/v1/password, which asks for the old one")
		return
	}
	if in.Role != "" {
		if err := d.store.SetRole(name, in.Role, false); err != nil {
			d.failed(w, err)
			return
		}
		d.log.Info("role changed", "user", name, "role", in.Role, "by", by.Name)
		d.audit(actorOf(by, r), "user role changed", "", name+", "+string(in.Role))
	}
	if in.Password != "" {
		if err := d.store.SetPassword(name, in.Password); err != nil {
			d.failed(w, err)
			return
		}
		d.log.Info("password set", "user", name, "by", by.Name)
		d.audit(actorOf(by, r), "user password set", "", name)
	}
	d.answerUser(w, http.StatusOK, name)
}

func (d *Dashboard) removeUser(w http.ResponseWriter, r *http.Request, by store.Identity) {
	name := r.PathValue("name")
	if err := d.store.RemoveUser(name, false); err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("user removed", "user", store.UserName(name), "by", by.Name)
	d.audit(actorOf(by, r), "user removed", "", store.UserName(name))
	w.WriteHeader(http.StatusNoContent)
}

func (d *Dashboard) serveAPIKeys(w http.ResponseWriter, _ *http.Request, _ store.Identity) {
	list := []apiKeyAnswer{}
	for _, k := range d.store.APIKeys() {
		list = append(list, apiKeyAnswer{Name: k.Name, Role: k.Role, Created: millis(k.Created), LastUsed: millis(k.LastUsed)})
	}
	answer(w, http.StatusOK, list)
}

func (d *Dashboard) addAPIKey(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in struct {
		Name string     `json:"name"`
		Role store.Role `json:"role"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	key, err := d.store.AddAPIKey(in.Name, in.Role)
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("API key added", "key", in.Name, "role", in.Role, "by", by.Name)
	d.audit(actorOf(by, r), "API key added", "", in.Name+", "+string(in.Role))
	answer(w, http.StatusCreated, apiKeyAnswer{Name: in.Name, Role: in.Role, Created: millis(d.now()), Key: key})
}

func (d *Dashboard) removeAPIKey(w http.ResponseWriter, r *http.Request, by store.Identity) {
	name := r.PathValue("name")
	if err := d.store.RemoveAPIKey(name); err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("API key removed", "key", name, "by", by.Name)
	d.audit(actorOf(by, r), "API key removed", "", name)
	w.WriteHeader(http.StatusNoContent)
}

// failed answers with an error of the store.
func (d *Dashboard) failed(w http.ResponseWriter, err error) {
	status, hint := http.StatusInternalServerError, "the hub's log says more"
	for _, e := range []struct {
		err    error
		status int
		hint   string
	}{
		{store.ErrNoUser, http.StatusNotFound, ""},
		{store.ErrNoAPIKey, http.StatusNotFound, ""},
		{store.ErrUserExists, http.StatusConflict, "choose another name"},
		{store.ErrAPIKeyExists, http.StatusConflict, "choose another name, or remove the key first"},
		{store.ErrLastAdmin, http.StatusConflict, "make somebody else an admin first"},
		{store.ErrSetupDone, http.StatusConflict, "log in"},
		{store.ErrBadName, http.StatusBadRequest, ""},
		{store.ErrBadRole, http.StatusBadRequest, ""},
		{store.ErrBadPassword, http.StatusBadRequest, ""},
		{store.ErrBusy, http.StatusServiceUnavailable, "try again in a moment"},
		{store.ErrClosed, http.StatusServiceUnavailable, "the hub is stopping; try again in a moment"},
		{store.ErrNoDevice, http.StatusNotFound, "GET /api/v1/devices lists the devices there are"},
		{store.ErrExists, http.StatusConflict, "choose another id, or give the device that has it a new token"},
		{store.ErrNoExport, http.StatusConflict, "run the hub with --influx-url"},
		{history.ErrTooFine, http.StatusBadRequest, "ask for fewer points or fewer channels"},
		{live.ErrBadList, http.StatusBadRequest, "/api/v1/openapi.json describes the parameters"},
		{errQuery, http.StatusBadRequest, "/api/v1/openapi.json describes the parameters"},
	} {
		if errors.Is(err, e.err) {
			status, hint = e.status, e.hint
			break
		}
	}
	if s, h := commandProblem(err); s != 0 {
		status, hint = s, h
	}
	if status == http.StatusInternalServerError {
		d.log.Error("a request failed", "error", err)
	}
	fail(w, status, err.Error(), hint)
}
