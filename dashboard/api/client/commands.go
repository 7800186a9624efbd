package client

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// NewCommand is a command to be sent. Arguments are texts, as people type them.
type NewCommand struct {
	ID   device.CommandID  `json:"id"` // zero: a new one
	Name string            `json:"name"`
	Args map[string]string `json:"args_text,omitempty"`
	TTL  int64             `json:"ttl_ms,omitempty"` // 0: the hub's default
}

// SendCommand has a command accepted for a device.
func (c *Client) SendCommand(ctx context.Context, id string, n NewCommand) (command live.CommandStatus, err error) {
	if n.ID == (device.CommandID{}) {
		n.ID = device.NewCommandID()
	}
	return command, c.call(ctx, http.MethodPost, devicePath(id)+"/commands", nil, n, &command)
}

// Command returns a command: when it is no longer open, or as it is after the wait, which is a minute at most.
func (c *Client) Command(ctx context.Context, id string, wait time.Duration) (command live.CommandStatus, err error) {
	return command, c.call(ctx, http.MethodGet, "/commands/"+url.PathEscape(id), url.Values{"wait": {wait.String()}}, nil, &command)
}

// CancelCommand takes back a command that is queued.
func (c *Client) CancelCommand(ctx context.Context, id string) (command live.CommandStatus, err error) {
	return command, c.call(ctx, http.MethodDelete, "/commands/"+url.PathEscape(id), nil, nil, &command)
}

// Filter selects entries of a list. Zero values stand for everything.
type Filter struct {
	Device string
	States []string
	Since  time.Time
	Limit  int
}

func (f *Filter) values() url.Values {
	v := url.Values{}
	if f.Device != "" {
		v.Set("device", f.Device)
	}
	if !f.Since.IsZero() {
		v.Set("since", strconv.FormatInt(f.Since.UnixMilli(), 10))
	}
	for _, state := range f.States {
		v.Add("state", state)
	}
	return v
}

// Commands returns commands, the newest first.
func (c *Client) Commands(ctx context.Context, f Filter) ([]live.CommandStatus, error) {
	return list(ctx, c, "/commands", f.values(), f.Limit, pageSize, func(p *api.Commands) ([]live.CommandStatus, string) { return p.Commands, p.Next })
}

// AuditTrail returns entries of the audit trail, the newest first.
func (c *Client) AuditTrail(ctx context.Context, f Filter) ([]api.AuditEntry, error) {
	return list(ctx, c, "/audit", f.values(), f.Limit, pageSize, func(p *api.AuditEntries) ([]api.AuditEntry, string) { return p.Entries, p.Next })
}

// Settings returns the desired values of a device.
func (c *Client) Settings(ctx context.Context, id string) ([]live.SettingStatus, error) {
	return list(ctx, c, devicePath(id)+"/settings", url.Values{}, math.MaxInt, pageSize, func(p *api.Settings) ([]live.SettingStatus, string) { return p.Settings, p.Next })
}

// SetDesired gives a writable channel a desired value, which is a text as people type it.
func (c *Client) SetDesired(ctx context.Context, id, channel, value string) (set live.SettingStatus, err error) {
	in := map[string]string{"value_text": value}
	return set, c.call(ctx, http.MethodPut, devicePath(id)+"/settings/"+url.PathEscape(channel), nil, in, &set)
}

// ClearDesired removes the desired value of a channel.
func (c *Client) ClearDesired(ctx context.Context, id, channel string) error {
	return c.call(ctx, http.MethodDelete, devicePath(id)+"/settings/"+url.PathEscape(channel), nil, nil, nil)
}

// NewRollout is one command to be sent to many devices: to those that are named, or to those with all of the labels.
type NewRollout struct {
	NewCommand
	Devices       []string          `json:"devices,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Rate          float64           `json:"rate,omitempty"` // devices a second
	StopOnFailure bool              `json:"stop_on_failure,omitempty"`
	DryRun        bool              `json:"dry_run,omitempty"`
}

// StartRollout has the hub send a command to many devices.
func (c *Client) StartRollout(ctx context.Context, n NewRollout) (started api.RolloutStarted, err error) {
	if n.ID == (device.CommandID{}) {
		n.ID = device.NewCommandID()
	}
	return started, c.call(ctx, http.MethodPost, "/rollouts", nil, n, &started)
}

// Rollout returns a rollout: when it is over, or as it is after the wait, which is a minute at most.
func (c *Client) Rollout(ctx context.Context, id string, wait time.Duration) (r api.Rollout, err error) {
	return r, c.call(ctx, http.MethodGet, "/rollouts/"+url.PathEscape(id), url.Values{"wait": {wait.String()}}, nil, &r)
}

// StopRollout has a rollout send to no more devices, and take back what is queued.
func (c *Client) StopRollout(ctx context.Context, id string) (r api.Rollout, err error) {
	return r, c.call(ctx, http.MethodDelete, "/rollouts/"+url.PathEscape(id), nil, nil, &r)
}

// Outcomes returns what became of a rollout at each of its devices, by device.
func (c *Client) Outcomes(ctx context.Context, id string) ([]api.Outcome, error) {
	return list(ctx, c, "/rollouts/"+url.PathEscape(id)+"/outcomes", url.Values{}, math.MaxInt, pageSize, func(p *api.Outcomes) ([]api.Outcome, string) { return p.Outcomes, p.Next })
}
