package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// User is a user.
type User struct {
	Name    string        `json:"name"`
	Role    accounts.Role `json:"role"`
	Created live.Millis   `json:"created"` // ms since 1970
}

func describeUser(u accounts.User) User {
	return User{Name: u.Name, Role: u.Role, Created: Millis(u.Created)}
}

// APIKey is an API key; the key itself is there only when it has just been made.
type APIKey struct {
	Name     string        `json:"name"`
	Role     accounts.Role `json:"role"`
	Created  live.Millis   `json:"created"`             // ms since 1970
	LastUsed live.Millis   `json:"last_used,omitempty"` // likewise, to the minute
	Key      string        `json:"key,omitempty"`
}

// Users is a page of the list of users.
type Users struct {
	Users []User `json:"users"` // by name
	Next  string `json:"next,omitempty"`
}

func (a *API) serveUsers(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p := q.place(defaultPage, maxPage)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	list, next := cut(a.store.Accounts.Users(), p, func(u *accounts.User) string { return u.Name })
	out := Users{Users: make([]User, len(list)), Next: next}
	for i, u := range list {
		out.Users[i] = describeUser(u)
	}
	Answer(w, http.StatusOK, out)
}

func (a *API) addUser(w http.ResponseWriter, r *http.Request, by Caller) {
	var in struct {
		Name     string        `json:"name"`
		Password string        `json:"password"`
		Role     accounts.Role `json:"role"`
	}
	if !ReadJSON(w, r, &in) {
		return
	}
	if err := a.store.Accounts.AddUser(in.Name, in.Password, in.Role); err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("user added", "user", accounts.UserName(in.Name), "role", in.Role, "by", by.Name)
	a.audit(by, "user added", "", accounts.UserName(in.Name)+", "+string(in.Role))
	a.answerUser(w, http.StatusCreated, in.Name)
}

func (a *API) answerUser(w http.ResponseWriter, status int, name string) {
	u, err := a.store.Accounts.User(name)
	if err != nil {
		a.Failed(w, err)
		return
	}
	Answer(w, status, describeUser(u))
}

// changeUser answers PATCH /api/v1/users/{name}: another role, another password, or both.
func (a *API) changeUser(w http.ResponseWriter, r *http.Request, by Caller) {
	var in struct {
		Role     accounts.Role `json:"role"`
		Password string        `json:"password"`
	}
	if !ReadJSON(w, r, &in) {
		return
	}
	name := accounts.UserName(r.PathValue("name"))
	switch {
	case in.Role == "" && in.Password == "":
		Fail(w, http.StatusBadRequest, "bad_request", "nothing to change", "send a role, a password or both")
		return
	case in.Password != "" && by.Via == accounts.ViaSession && by.Name == name:
		Fail(w, http.StatusBadRequest, "own_password", "this is your own password", "change it with POST /api/v1/password, which asks for the old one")
		return
	}
	if in.Role != "" {
		if err := a.store.Accounts.SetRole(name, in.Role, by.Via == ViaSocket); err != nil {
			a.Failed(w, err)
			return
		}
		a.log.Info("role changed", "user", name, "role", in.Role, "by", by.Name)
		a.audit(by, "user role changed", "", name+", "+string(in.Role))
	}
	if in.Password != "" {
		if err := a.store.Accounts.SetPassword(name, in.Password); err != nil {
			a.Failed(w, err)
			return
		}
		a.log.Info("password set", "user", name, "by", by.Name)
		a.audit(by, "user password set", "", name)
	}
	a.answerUser(w, http.StatusOK, name)
}

func (a *API) removeUser(w http.ResponseWriter, r *http.Request, by Caller) {
	name := r.PathValue("name")
	// Whoever has the machine can make another admin.
	if err := a.store.Accounts.RemoveUser(name, by.Via == ViaSocket); err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("user removed", "user", accounts.UserName(name), "by", by.Name)
	a.audit(by, "user removed", "", accounts.UserName(name))
	w.WriteHeader(http.StatusNoContent)
}

// APIKeys is a page of the list of API keys.
type APIKeys struct {
	APIKeys []APIKey `json:"apikeys"` // by name
	Next    string   `json:"next,omitempty"`
}

func (a *API) serveAPIKeys(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p := q.place(defaultPage, maxPage)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	list, next := cut(a.store.Accounts.APIKeys(), p, func(k *accounts.APIKey) string { return k.Name })
	out := APIKeys{APIKeys: make([]APIKey, len(list)), Next: next}
	for i, k := range list {
		out.APIKeys[i] = APIKey{Name: k.Name, Role: k.Role, Created: Millis(k.Created), LastUsed: Millis(k.LastUsed)}
	}
	Answer(w, http.StatusOK, out)
}

func (a *API) addAPIKey(w http.ResponseWriter, r *http.Request, by Caller) {
	var in struct {
		Name string        `json:"name"`
		Role accounts.Role `json:"role"`
	}
	if !ReadJSON(w, r, &in) {
		return
	}
	key, err := a.store.Accounts.AddAPIKey(in.Name, in.Role)
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("API key added", "key", in.Name, "role", in.Role, "by", by.Name)
	a.audit(by, "API key added", "", in.Name+", "+string(in.Role))
	Answer(w, http.StatusCreated, APIKey{Name: in.Name, Role: in.Role, Created: Millis(a.now()), Key: key})
}

func (a *API) removeAPIKey(w http.ResponseWriter, r *http.Request, by Caller) {
	name := r.PathValue("name")
	if err := a.store.Accounts.RemoveAPIKey(name); err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("API key removed", "key", name, "by", by.Name)
	a.audit(by, "API key removed", "", name)
	w.WriteHeader(http.StatusNoContent)
}
