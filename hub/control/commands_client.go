package control

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// SendCommand has a command accepted for a device.
func (c *Client) SendCommand(ctx context.Context, id string, n NewCommand) (command commands.Command, err error) {
	return command, c.call(ctx, http.MethodPost, devicePath(id)+"/commands", n, &command)
}

// Command returns a command: when it is no longer open, or as it is after the wait, which is a minute at most.
func (c *Client) Command(ctx context.Context, id device.CommandID, wait time.Duration) (command commands.Command, err error) {
	return command, c.call(ctx, http.MethodGet, "/commands/"+id.String()+"?wait="+wait.String(), nil, &command)
}

// CancelCommand takes back a command that is queued.
func (c *Client) CancelCommand(ctx context.Context, id device.CommandID) (command commands.Command, err error) {
	return command, c.call(ctx, http.MethodPost, "/commands/"+id.String()+"/cancel", nil, &command)
}

// Commands returns commands, the newest first.
func (c *Client) Commands(ctx context.Context, f commands.Filter) (list []commands.Command, err error) {
	v := pageValues(f.Device, f.Since, f.Before, f.Limit)
	for _, state := range f.States {
		v.Add("state", string(state))
	}
	return list, c.call(ctx, http.MethodGet, "/commands?"+v.Encode(), nil, &list)
}

// Settings returns the desired values of a device.
func (c *Client) Settings(ctx context.Context, id string) (list []settings.Setting, err error) {
	return list, c.call(ctx, http.MethodGet, devicePath(id)+"/settings", nil, &list)
}

// SetDesired gives a writable channel a desired value.
func (c *Client) SetDesired(ctx context.Context, id, channel, value string) (set settings.Setting, err error) {
	return set, c.call(ctx, http.MethodPut, devicePath(id)+"/settings/"+url.PathEscape(channel), desiredValue{value}, &set)
}

// ClearDesired ends the hub's care for a channel.
func (c *Client) ClearDesired(ctx context.Context, id, channel string) error {
	return c.call(ctx, http.MethodDelete, devicePath(id)+"/settings/"+url.PathEscape(channel), nil, nil)
}

// AuditTrail returns entries of the audit trail, the newest first.
func (c *Client) AuditTrail(ctx context.Context, f audit.Filter) (list []audit.Entry, err error) {
	v := pageValues(f.Device, f.Since, f.Before, f.Limit)
	if f.After > 0 {
		v.Set("after", strconv.FormatUint(f.After, 10))
	}
	return list, c.call(ctx, http.MethodGet, "/audit?"+v.Encode(), nil, &list)
}

func pageValues(deviceID string, since time.Time, before uint64, limit int) url.Values {
	v := url.Values{}
	if deviceID != "" {
		v.Set("device", deviceID)
	}
	if !since.IsZero() {
		v.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if before > 0 {
		v.Set("before", strconv.FormatUint(before, 10))
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return v
}

// caller is the person at the command line.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" && os.Getuid() == 0 {
		return name
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
