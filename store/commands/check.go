package commands

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// settingSpec is the command that sets a writable channel.
var settingSpec = device.CommandSpec{Name: device.CommandSet, Supersedes: true, Idempotent: true}

// prepareCommand holds a new command to what its device has announced.
func (s *Store) prepareCommand(n *NewCommand) (*Command, *device.CommandSpec, error) {
	schema, err := s.commandable(n.Device)
	if err != nil {
		return nil, nil, err
	}
	spec, ok := schema.Command(n.Name)
	if !ok {
		return nil, nil, noSuchCommand(n, schema)
	}
	args, err := spec.CheckArgs(wholeNumbers(spec, n.Args))
	if err != nil {
		return nil, nil, &CommandError{ErrBadCommand, fmt.Sprintf("%s: %v", n.Name, err), usage(spec)}
	}
	ttl := n.TTL
	if ttl == 0 {
		ttl = DefaultCommandTTL
	}
	if ttl < minCommandTTL || ttl > maxCommandTTL {
		return nil, nil, &CommandError{ErrBadCommand, fmt.Sprintf("a time to live of %v", ttl),
			fmt.Sprintf("it is from %v to %d days", minCommandTTL, int(maxCommandTTL.Hours()/24))}
	}
	id := n.ID
	if id == (device.CommandID{}) {
		id = device.NewCommandID()
	}
	now := s.commands.clock.Now()
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
		return &CommandError{ErrBadCommand, fmt.Sprintf("%s: %v", c.Name, err), ""}
	}
	if n := len(device.AppendControl(nil, m)); n > device.MaxMessage {
		return &CommandError{ErrBadCommand, fmt.Sprintf("%s takes %d bytes with its arguments, at most %d fit", c.Name, n, device.MaxMessage), ""}
	}
	return nil
}

// commandable returns the schema of a device that commands can be sent to.
func (s *Store) commandable(id string) (*device.Schema, error) {
	d, err := s.Device(id)
	if err != nil {
		return nil, err
	}
	if d.Revoked {
		return nil, &CommandError{ErrBadCommand, id + " is revoked", "telemetry-hub device rotate admits it again"}
	}
	schema, ok := s.DeviceSchema(id)
	if !ok {
		return nil, &CommandError{ErrBadCommand, fmt.Sprintf("it is not known what %s can be told", id), "it says so when it connects for the first time"}
	}
	return schema, nil
}

func noSuchCommand(n *NewCommand, schema *device.Schema) error {
	e := &CommandError{ErrBadCommand, fmt.Sprintf("%s has no command %q", n.Device, n.Name), "it has none at all"}
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

// wholeNumbers makes integers of whole floats where the command takes integers: JSON knows no difference.
func wholeNumbers(spec *device.CommandSpec, args map[string]any) map[string]any {
	args = maps.Clone(args)
	for i := range spec.Args {
		if a := &spec.Args[i]; a.Type == device.Int {
			if v, ok := args[a.Name]; ok {
				args[a.Name] = wholeNumber(v)
			}
		}
	}
	return args
}

func wholeNumber(v any) any {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f)
	}
	return v
}

// usage says what a command takes.
func usage(spec *device.CommandSpec) string {
	if len(spec.Args) == 0 {
		return spec.Name + " takes no arguments"
	}
	args := make([]string, len(spec.Args))
	for i := range spec.Args {
		args[i] = describeArg(&spec.Args[i])
	}
	return spec.Name + " takes " + strings.Join(args, ", ")
}

// describeArg is like "celsius (a number from 5 to 35, Cel)".
func describeArg(a *device.Arg) string {
	words := map[device.ValueType]string{device.Bool: "true or false", device.Int: "a whole number", device.String: "a text"}[a.Type]
	if words == "" {
		words = "a number"
	}
	number := func(f *float64) string { return strconv.FormatFloat(*f, 'f', -1, 64) }
	switch {
	case a.Min != nil && a.Max != nil:
		words += " from " + number(a.Min) + " to " + number(a.Max)
	case a.Min != nil:
		words += " from " + number(a.Min)
	case a.Max != nil:
		words += " up to " + number(a.Max)
	}
	if a.Unit != "" {
		words += ", " + a.Unit
	}
	if a.Optional {
		words += ", optional"
	}
	return a.Name + " (" + words + ")"
}

// ParseArgs reads the arguments of a command from text, as people type them. What cannot be read stays a text, and SendCommand
// says what it should have been.
func (s *Store) ParseArgs(deviceID, name string, texts map[string]string) map[string]any {
	args := make(map[string]any, len(texts))
	var spec *device.CommandSpec
	if schema, ok := s.DeviceSchema(deviceID); ok {
		spec, _ = schema.Command(name)
	}
	for key, text := range texts {
		args[key] = text
		if spec == nil {
			continue
		}
		if i := slices.IndexFunc(spec.Args, func(a device.Arg) bool { return a.Name == key }); i >= 0 {
			args[key] = parseValue(spec.Args[i].Type, text)
		}
	}
	return args
}

// parseValue reads a value of a type, and returns the text if it is none.
func parseValue(t device.ValueType, text string) any {
	switch t {
	case device.Bool:
		if text == "true" || text == "false" {
			return text == "true"
		}
	case device.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case device.Float32, device.Float64:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return text
}

// same says whether a command sent again is the one that is known.
func (c *Command) same(other *Command) bool {
	return c.Device == other.Device && c.Name == other.Name &&
		(len(c.Args) == 0 && len(other.Args) == 0 || reflect.DeepEqual(c.Args, other.Args))
}
