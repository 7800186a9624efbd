package device

import (
	"cmp"
	"fmt"
	"math"
	"sort"
)

// Channel finds a channel by its id.
func (s *Schema) Channel(id uint16) (*Channel, bool) {
	i, ok := s.search(id)
	if !ok {
		return nil, false
	}
	return &s.Channels[i], true
}

// search returns the index of a channel.
func (s *Schema) search(id uint16) (int, bool) {
	i := sort.Search(len(s.Channels), func(i int) bool { return s.Channels[i].ID >= id })
	return i, i < len(s.Channels) && s.Channels[i].ID == id
}

// Validate tells whether the schema can be sent: within the limits, channels by strictly ascending id, names unique, and the
// SCHEMA message not above MaxMessage.
func (s *Schema) Validate() error {
	if err := s.validate(); err != nil {
		return err
	}
	if n := len(AppendControl(nil, s)); n > MaxMessage {
		return fmt.Errorf("the SCHEMA message takes %d bytes, at most %d", n, MaxMessage)
	}
	return nil
}

func (s *Schema) validate() error {
	if len(s.Channels) > MaxChannels || len(s.Commands) > MaxCommands {
		return fmt.Errorf("%d channels and %d commands, at most %d and %d", len(s.Channels), len(s.Commands), MaxChannels, MaxCommands)
	}
	next := 0 // lowest id allowed now
	names := make(map[string]bool, len(s.Channels))
	for i := range s.Channels {
		c := &s.Channels[i]
		if int(c.ID) < next {
			return fmt.Errorf("channel %d is not above the one before", c.ID)
		}
		next = int(c.ID) + 1
		if err := c.validate(names); err != nil {
			return fmt.Errorf("channel %d: %w", c.ID, err)
		}
	}
	clear(names)
	for i := range s.Commands {
		if err := s.Commands[i].validate(names); err != nil {
			return fmt.Errorf("command %d: %w", i, err)
		}
	}
	return nil
}

func (c *Channel) validate(names map[string]bool) error {
	switch {
	case c.Type < Bool || c.Type > String:
		return fmt.Errorf("unknown type %d", c.Type)
	case c.Scale != 0 && c.Type != Int:
		return fmt.Errorf("a scale with type %v", c.Type)
	case c.Scale < -MaxScale || c.Scale > MaxScale:
		return fmt.Errorf("scale %d, at most ±%d", c.Scale, MaxScale)
	}
	return cmp.Or(checkUnique(names, c.Name), checkLine("unit", c.Unit, MaxUnit))
}

func (c *CommandSpec) validate(names map[string]bool) error {
	switch {
	case len(c.Args) > MaxArgs:
		return fmt.Errorf("%d arguments, at most %d", len(c.Args), MaxArgs)
	case c.Confirm > ConfirmTyped:
		return fmt.Errorf("unknown confirmation %d", c.Confirm)
	case c.Name == CommandSet:
		return fmt.Errorf("the name %q is reserved for writable channels", c.Name)
	}
	if err := checkUnique(names, c.Name); err != nil {
		return err
	}
	args := make(map[string]bool, len(c.Args))
	for i := range c.Args {
		if err := c.Args[i].validate(args); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	return nil
}

func (a *Arg) validate(names map[string]bool) error {
	if a.Type < Bool || a.Type > String {
		return fmt.Errorf("unknown type %d", a.Type)
	}
	least, most := math.Inf(-1), math.Inf(1)
	for _, bound := range []struct{ given, into *float64 }{{a.Min, &least}, {a.Max, &most}} {
		if bound.given == nil {
			continue
		}
		if a.Type == Bool || a.Type == String || math.IsNaN(*bound.given) || math.IsInf(*bound.given, 0) {
			return fmt.Errorf("a bound of %v for type %v", *bound.given, a.Type)
		}
		*bound.into = *bound.given
	}
	if least > most {
		return fmt.Errorf("the minimum %v is above the maximum %v", least, most)
	}
	return cmp.Or(checkUnique(names, a.Name), checkLine("unit", a.Unit, MaxUnit))
}

// checkUnique checks a name and enters it into those seen.
func checkUnique(names map[string]bool, name string) error {
	if names[name] {
		return fmt.Errorf("the name %q is taken", name)
	}
	names[name] = true
	return checkName("name", name)
}
