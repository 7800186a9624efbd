package device

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CommandSet is the name of the command that sets a writable channel. It has one argument, which has the channel's name. No schema
// lists it.
const CommandSet = "set"

// SettingArg is the argument that sets a channel. For one with a scale it is a plain number.
func (c *Channel) SettingArg() Arg {
	a := Arg{Name: c.Name, Type: c.Type, Unit: c.Unit}
	if c.Scale != 0 {
		a.Type = Float64
	}
	return a
}

// Command finds a command by its name.
func (s *Schema) Command(name string) (*CommandSpec, bool) {
	i := slices.IndexFunc(s.Commands, func(c CommandSpec) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &s.Commands[i], true
}

// Setting finds a writable channel by its name.
func (s *Schema) Setting(name string) (*Channel, bool) {
	i := slices.IndexFunc(s.Channels, func(c Channel) bool { return c.Writable && c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &s.Channels[i], true
}

// CheckArgs compares arguments with what the command takes and returns them with numbers in the types described there. The error
// says what is wrong, for people.
func (c *CommandSpec) CheckArgs(args map[string]any) (map[string]any, error) {
	checked := maps.Clone(args)
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if !slices.ContainsFunc(c.Args, func(a Arg) bool { return a.Name == name }) {
			return nil, fmt.Errorf("there is no argument %q", name)
		}
	}
	for i := range c.Args {
		a := &c.Args[i]
		v, ok := checked[a.Name]
		if !ok {
			if a.Optional {
				continue
			}
			return nil, fmt.Errorf("argument %q is missing", a.Name)
		}
		v, err := a.Check(v)
		if err != nil {
			return nil, fmt.Errorf("argument %q %w", a.Name, err)
		}
		checked[a.Name] = v
	}
	return checked, nil
}

// Check compares one value with what the argument may be and returns it in the type described: int64, float64, bool or string. An
// integer will do for a float, not the other way round.
func (a *Arg) Check(v any) (any, error) {
	var number float64
	switch x := v.(type) {
	case int64:
		number = float64(x)
		if a.Type == Float32 || a.Type == Float64 {
			v = number
		} else if a.Type != Int {
			return nil, a.wrongType()
		}
	case float64:
		number = x
		if a.Type != Float32 && a.Type != Float64 {
			return nil, a.wrongType()
		}
	case bool:
		if a.Type != Bool {
			return nil, a.wrongType()
		}
	case string:
		if a.Type != String {
			return nil, a.wrongType()
		}
	default:
		return nil, a.wrongType()
	}
	// Written so that NaN is out of bounds, too.
	if a.Min != nil && !(number >= *a.Min) {
		return nil, fmt.Errorf("must be at least %v", *a.Min)
	}
	if a.Max != nil && !(number <= *a.Max) {
		return nil, fmt.Errorf("must be at most %v", *a.Max)
	}
	return v, nil
}

func (a *Arg) wrongType() error {
	switch a.Type {
	case Bool:
		return errors.New("must be true or false")
	case Int:
		return errors.New("must be a whole number")
	case String:
		return errors.New("must be a text")
	default:
		return errors.New("must be a number")
	}
}
