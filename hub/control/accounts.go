package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

const maxAccount = 4 << 10 // bytes of a request

// NewUser is a user to be made.
type NewUser struct {
	Name     string        `json:"name"`
	Password string        `json:"password"`
	Role     accounts.Role `json:"role"`
}

// NewAPIKey is an API key to be made.
type NewAPIKey struct {
	Name string        `json:"name"`
	Role accounts.Role `json:"role"`
}

// MadeAPIKey is an API key with its secret, which is shown once.
type MadeAPIKey struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// newPassword is the body of POST /users/{name}/password.
type newPassword struct {
	Password string `json:"password"`
}

func (c *handler) accountRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /users", c.users)
	mux.HandleFunc("POST /users", c.addUser)
	mux.HandleFunc("POST /users/{name}/password", c.setPassword)
	mux.HandleFunc("DELETE /users/{name}", c.removeUser)
	mux.HandleFunc("GET /apikeys", c.apiKeys)
	mux.HandleFunc("POST /apikeys", c.addAPIKey)
	mux.HandleFunc("DELETE /apikeys/{name}", c.removeAPIKey)
}

func (c *handler) users(w http.ResponseWriter, _ *http.Request) { answer(w, c.store.Accounts.Users()) }

func (c *handler) addUser(w http.ResponseWriter, r *http.Request) {
	var u NewUser
	if readAccount(w, r, &u) {
		c.done(w, r, c.store.Accounts.AddUser(u.Name, u.Password, u.Role), "user added", accounts.UserName(u.Name)+", "+string(u.Role))
	}
}

func (c *handler) setPassword(w http.ResponseWriter, r *http.Request) {
	var p newPassword
	if readAccount(w, r, &p) {
		name := r.PathValue("name")
		c.done(w, r, c.store.Accounts.SetPassword(name, p.Password), "user password set", accounts.UserName(name))
	}
}

// removeUser removes the last admin, too: whoever has the machine can make another.
func (c *handler) removeUser(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	c.done(w, r, c.store.Accounts.RemoveUser(name, true), "user removed", accounts.UserName(name))
}

func (c *handler) apiKeys(w http.ResponseWriter, _ *http.Request) {
	answer(w, c.store.Accounts.APIKeys())
}

func (c *handler) addAPIKey(w http.ResponseWriter, r *http.Request) {
	var k NewAPIKey
	if !readAccount(w, r, &k) {
		return
	}
	key, err := c.store.Accounts.AddAPIKey(k.Name, k.Role)
	if err != nil {
		fail(w, err)
		return
	}
	c.auditHub(r, "API key added", k.Name+", "+string(k.Role))
	answer(w, MadeAPIKey{Name: k.Name, Key: key})
}

func (c *handler) removeAPIKey(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	c.done(w, r, c.store.Accounts.RemoveAPIKey(name), "API key removed", name)
}

func readAccount(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAccount)).Decode(v)
	if err != nil {
		fail(w, badRequest("read the request: %v", err))
	}
	return err == nil
}

// auditHub enters what was done to a user, a key or the certificate.
func (c *handler) auditHub(r *http.Request, action, text string) {
	by, from := callerOf(r)
	_ = c.store.Audit.Enter(audit.Entry{By: by, From: from, Action: action, Text: text}) // the store raises an alarm
}

// done answers a change that has no result, and enters it into the audit trail.
func (c *handler) done(w http.ResponseWriter, r *http.Request, err error, action, text string) {
	if err != nil {
		fail(w, err)
		return
	}
	c.auditHub(r, action, text)
	w.WriteHeader(http.StatusNoContent)
}

// accountError gives an error about accounts its status and hint; 0 for another error.
func accountError(err error) (status int, hint string) {
	switch {
	case errors.Is(err, accounts.ErrNoUser):
		return http.StatusNotFound, "telemetry-hub user list shows the users there are"
	case errors.Is(err, accounts.ErrUserExists):
		return http.StatusConflict, "telemetry-hub user passwd gives an existing user a new password"
	case errors.Is(err, accounts.ErrNoAPIKey):
		return http.StatusNotFound, "telemetry-hub apikey list shows the keys there are"
	case errors.Is(err, accounts.ErrAPIKeyExists):
		return http.StatusConflict, "choose another name, or remove the key first"
	case errors.Is(err, accounts.ErrBadRole), errors.Is(err, accounts.ErrBadPassword):
		return http.StatusBadRequest, ""
	case errors.Is(err, accounts.ErrBusy):
		return http.StatusServiceUnavailable, "try again in a moment"
	}
	return 0, ""
}

// Users returns all users, sorted by name.
func (c *Client) Users(ctx context.Context) (u []accounts.User, err error) {
	return u, c.call(ctx, http.MethodGet, "/users", nil, &u)
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, u NewUser) error {
	return c.call(ctx, http.MethodPost, "/users", u, nil)
}

// SetPassword gives a user a new password and ends the user's sessions.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.call(ctx, http.MethodPost, "/users/"+url.PathEscape(name)+"/password", newPassword{password}, nil)
}

// RemoveUser removes a user and ends the user's sessions.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/users/"+url.PathEscape(name), nil, nil)
}

// APIKeys returns all API keys, sorted by name.
func (c *Client) APIKeys(ctx context.Context) (k []accounts.APIKey, err error) {
	return k, c.call(ctx, http.MethodGet, "/apikeys", nil, &k)
}

// AddAPIKey makes an API key.
func (c *Client) AddAPIKey(ctx context.Context, k NewAPIKey) (made MadeAPIKey, err error) {
	return made, c.call(ctx, http.MethodPost, "/apikeys", k, &made)
}

// RemoveAPIKey makes an API key invalid.
func (c *Client) RemoveAPIKey(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/apikeys/"+url.PathEscape(name), nil, nil)
}
