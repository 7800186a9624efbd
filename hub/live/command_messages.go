package live

import (
	"math"

	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// CommandStatus is a command and how far it has got.
type CommandStatus struct {
	ID         string         `json:"id"`     // UUID, made by who sent it
	Number     uint64         `json:"number"` // counts the commands of all devices, in the order in which they were accepted
	Device     string         `json:"device"`
	Name       string         `json:"name"`
	Args       map[string]any `json:"args"`
	State      string         `json:"state"`            // queued, sent, succeeded, failed, rejected, expired, unknown, cancelled
	Text       string         `json:"text,omitempty"`   // why it is in this state, in the device's words if it answered
	Values     map[string]any `json:"values,omitempty"` // what came out; NaN and infinities are texts
	By         string         `json:"by"`
	From       string         `json:"from,omitempty"`
	Created    Millis         `json:"created"`
	Deadline   Millis         `json:"deadline"`       // not to be begun after it
	Sent       Millis         `json:"sent,omitempty"` // first
	Changed    Millis         `json:"changed"`        // when the state began
	Idempotent bool           `json:"idempotent,omitempty"`
}

// CommandStatusOf describes a command of the store.
func CommandStatusOf(c *commands.Command) CommandStatus {
	s := CommandStatus{
		ID: c.ID.String(), Number: c.Number, Device: c.Device, Name: c.Name, Args: c.Args, State: string(c.State), Text: c.Text, Values: c.Values,
		By: c.By, From: c.From, Created: moment(c.Created), Deadline: moment(c.Deadline), Sent: moment(c.Sent), Changed: moment(c.Changed),
		Idempotent: c.Idempotent,
	}
	if s.Args == nil {
		s.Args = map[string]any{}
	}
	return s
}

// SettingStatus is the desired value of a writable channel beside what the device reports.
type SettingStatus struct {
	Device     string `json:"device"`
	Channel    string `json:"channel"` // name
	Desired    any    `json:"desired"` // bool, number or string; numbers are not scaled
	By         string `json:"by"`
	From       string `json:"from,omitempty"`
	Set        Millis `json:"set"`                // when it was desired
	Status     string `json:"status"`             // in_sync, pending, refused; cleared: there is no desired value any more
	Since      Millis `json:"since"`              // when the status began
	Reason     string `json:"reason,omitempty"`   // why it is not in sync, as far as is known
	Reported   any    `json:"reported,omitempty"` // as of the status, or newer; absent: nothing yet
	ReportedAt Millis `json:"reported_at,omitempty"`
}

// SettingStatusOf describes a setting of the store.
func SettingStatusOf(s *settings.Setting) SettingStatus {
	reported := s.Reported
	if f, ok := reported.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		reported = nil
	}
	return SettingStatus{
		Device: s.Device, Channel: s.Channel, Desired: s.Desired, By: s.By, From: s.From, Set: moment(s.Set), Status: string(s.Status),
		Since: moment(s.Since), Reason: s.Reason, Reported: reported, ReportedAt: moment(s.ReportedAt),
	}
}

// CommandsUpdate is the body of /topic/devices/{id}/commands and /user/queue/commands.
type CommandsUpdate struct {
	Now      Millis          `json:"now"`
	Kind     string          `json:"kind"`           // snapshot or update
	Commands []CommandStatus `json:"commands"`       // newest first; in a snapshot those that are open and the newest 20, else those that changed
	More     bool            `json:"more,omitempty"` // in a snapshot: older ones are open, too
	Settings []SettingStatus `json:"settings"`       // of the device, by channel; in a snapshot all of them, else those that changed
}
