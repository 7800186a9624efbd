package client

import (
	"context"
	"math"
	"net/http"
	"net/url"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

const pageSize = 1000 // the most entries of a list in one answer

// Users returns all users, sorted by name.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	return list(ctx, c, "/users", url.Values{}, math.MaxInt, pageSize, func(p *api.Users) ([]api.User, string) { return p.Users, p.Next })
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, name, password string, role accounts.Role) error {
	in := map[string]string{"name": name, "password": password, "role": string(role)}
	return c.call(ctx, http.MethodPost, "/users", nil, in, nil)
}

// SetPassword gives a user a new password and ends the user's sessions.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.call(ctx, http.MethodPatch, "/users/"+url.PathEscape(name), nil, map[string]string{"password": password}, nil)
}

// RemoveUser removes a user and ends the user's sessions.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/users/"+url.PathEscape(name), nil, nil, nil)
}

// APIKeys returns all API keys, sorted by name.
func (c *Client) APIKeys(ctx context.Context) ([]api.APIKey, error) {
	return list(ctx, c, "/apikeys", url.Values{}, math.MaxInt, pageSize, func(p *api.APIKeys) ([]api.APIKey, string) { return p.APIKeys, p.Next })
}

// AddAPIKey makes an API key.
func (c *Client) AddAPIKey(ctx context.Context, name string, role accounts.Role) (made api.APIKey, err error) {
	in := map[string]string{"name": name, "role": string(role)}
	return made, c.call(ctx, http.MethodPost, "/apikeys", nil, in, &made)
}

// RemoveAPIKey makes an API key invalid.
func (c *Client) RemoveAPIKey(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/apikeys/"+url.PathEscape(name), nil, nil, nil)
}
