package commands

import (
	"fmt"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// prepare holds a new command to what its device has announced.
func (b *Book) prepare(n *New) (*Command, *device.CommandSpec, error) {
	schema, err := b.Schema(n.Device)
	if err != nil {
		return nil, nil, err
	}
	spec, ok := schema.Command(n.Name)
	if !ok {
		return nil, nil, noSuchCommand(n, schema)
	}
	args, err := spec.CheckArgs(wholeNumbers(spec, n.Args))
	if err != nil {
		return nil, nil, &Error{ErrBad, fmt.Sprintf("%s: %v", n.Name, err), usage(spec)}
	}
	ttl := n.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl < minTTL || ttl > maxTTL {
		return nil, nil, &Error{ErrBad, fmt.Sprintf("a time to live of %v", ttl),
			fmt.Sprintf("it is from %v to %d days", minTTL, int(maxTTL.Hours()/24))}
	}
	id := n.ID
	if id == (device.CommandID{}) {
		id = device.NewCommandID()
	}
	now := b.times.Now()
	c := &Command{
		ID: id, Device: n.Device, Name: n.Name, Args: args, By: audit.Printable(n.By), From: audit.Printable(n.From),
		Created: now.UTC(), Deadline: now.Add(ttl).UTC(), Idempotent: spec.Idempotent,
	}
	return c, spec, checkMessage(c)
}

// checkMessage holds a command to what fits a message of the protocol.
func checkMessage(c *Command) error {
	m := c.Message(c.Created)
	if err := m.Validate(); err != nil {
		return &Error{ErrBad, fmt.Sprintf("%s: %v", c.Name, err), ""}
	}
	if n := len(device.AppendControl(nil, m)); n > device.MaxMessage {
		return &Error{ErrBad, fmt.Sprintf("%s takes %d bytes with its arguments, at most %d fit", c.Name, n, device.MaxMessage), ""}
	}
	return nil
}

// Schema returns the schema of a device that commands can be sent to.
func (b *Book) Schema(deviceID string) (*device.Schema, error) {
	d, err := b.Device(deviceID)
	switch {
	case err != nil:
		return nil, err
	case d.Revoked:
		return nil, &Error{ErrBad, deviceID + " is revoked", "telemetry-hub device rotate gives it a new token"}
	case d.Schema == nil:
		return nil, &Error{ErrBad, fmt.Sprintf("the commands of %s are not known yet", deviceID), "a device announces them when it connects for the first time"}
	}
	return d.Schema, nil
}

func noSuchCommand(n *New, schema *device.Schema) error {
	e := &Error{ErrBad, fmt.Sprintf("%s has no command %q", n.Device, n.Name), "it has none at all"}
	if len(schema.Commands) > 0 {
		names := make([]string, len(schema.Commands))
		for i := range schema.Commands {
			names[i] = schema.Commands[i].Name
		}
		e.Hint = "it has " + strings.Join(names, ", ")
	}
	if n.Name == device.CommandSet {
		e.Hint = "a writable channel is set by giving it a desired value"
	}
	return e
}
