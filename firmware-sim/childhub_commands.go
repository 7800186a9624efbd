package firmwaresim

import (
	"context"
	"time"
)

// hubCommand is a command as `command send` and `command list` print it with --format json.
type hubCommand struct {
	ID         string         `json:"id"`
	Device     string         `json:"device"`
	Name       string         `json:"name"`
	Args       map[string]any `json:"args"`
	State      string         `json:"state"`
	Text       string         `json:"text"`
	Values     map[string]any `json:"values"`
	Created    time.Time      `json:"created"`
	Deadline   time.Time      `json:"deadline"`
	Changed    time.Time      `json:"changed"`
	Idempotent bool           `json:"idempotent"`
}

// hubAudit is an entry of `audit --format json`.
type hubAudit struct {
	Number  uint64 `json:"number"`
	Action  string `json:"action"`
	Command string `json:"command"`
}

// hubSetting is an entry of `setting list --format json`.
type hubSetting struct {
	Channel  string `json:"channel"`
	Desired  any    `json:"desired"`
	Reported any    `json:"reported"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
}

// send has the hub accept a command. args are those of `command send` behind the device.
func (h *childHub) send(ctx context.Context, id string, args ...string) (c hubCommand, err error) {
	return c, h.json(ctx, &c, append([]string{"command", "send", id, "--format", "json"}, args...)...)
}

// commands returns all commands that the hub keeps, the newest first.
func (h *childHub) commands(ctx context.Context) (list []hubCommand, err error) {
	return list, h.json(ctx, &list, "command", "list", "--limit", "100000", "--format", "json")
}

// trail returns the whole audit trail, the newest entry first.
func (h *childHub) trail(ctx context.Context) (list []hubAudit, err error) {
	return list, h.json(ctx, &list, "audit", "--limit", "100000", "--format", "json")
}

// settings returns what is desired of a device.
func (h *childHub) settings(ctx context.Context, id string) (list []hubSetting, err error) {
	return list, h.json(ctx, &list, "setting", "list", id, "--format", "json")
}

// desire gives a channel a desired value.
func (h *childHub) desire(ctx context.Context, id, channel, value string) error {
	return h.command(ctx, discard, "setting", "set", id, channel+"="+value)
}
