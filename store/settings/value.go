package settings

import (
	"fmt"
	"math"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// writable returns a channel that can be set.
func (s *Settings) writable(deviceID, channel string) (*device.Channel, error) {
	schema, err := s.book.Schema(deviceID)
	if err != nil {
		return nil, err
	}
	if ch, ok := schema.Setting(channel); ok {
		return ch, nil
	}
	e := bad("it has none at all", "%s has no writable channel %q", deviceID, channel)
	hint := ""
	for i := range schema.Channels {
		if schema.Channels[i].Writable {
			hint += ", " + schema.Channels[i].Name
		}
	}
	if hint != "" {
		e.Hint = "it has " + hint[2:]
	}
	return nil, e
}

// check puts a desired value into the form in which it is kept and sent: the one in which a reading of it comes back.
func check(ch *device.Channel, value any) (any, error) {
	arg := ch.SettingArg()
	if arg.Type == device.Int {
		value = commands.WholeNumber(value)
	}
	value, err := arg.Check(value)
	if err != nil {
		return nil, bad("", "%s %v", ch.Name, err)
	}
	if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil, bad("", "%s must be a finite number", ch.Name)
	}
	if text, ok := value.(string); ok && len(text) > device.MaxString {
		return nil, bad("", "%s has %d bytes, at most %d fit", ch.Name, len(text), device.MaxString)
	}
	switch f, _ := value.(float64); {
	case ch.Scale != 0:
		step := math.Pow10(int(ch.Scale))
		raw := math.Round(f / step)
		nearest, _ := device.Value{Type: device.Int, Scale: ch.Scale, Bits: uint64(int64(raw))}.Float()
		if math.Abs(raw) > 1<<53 || math.Abs(nearest-f) > 1e-9*math.Max(1, math.Abs(f)) {
			return nil, bad(fmt.Sprintf("it has steps of %v", step), "%s cannot be %v", ch.Name, f)
		}
		return nearest, nil
	case ch.Type == device.Float32:
		return float64(float32(f)), nil
	}
	return value, nil
}

// Parse reads a desired value from text, as people type it. What cannot be read stays a text, and Set says what it should have
// been.
func (s *Settings) Parse(deviceID, channel, text string) any {
	ch, err := s.writable(deviceID, channel)
	if err != nil {
		return text
	}
	return commands.ParseValue(ch.SettingArg().Type, text)
}

// plain is a value as a command carries it.
func plain(v device.Value) any {
	switch {
	case v.Type == device.Bool:
		return v.Bits != 0
	case v.Type == device.String:
		return v.Text
	case v.Type == device.Int && v.Scale == 0:
		return int64(v.Bits)
	}
	f, _ := v.Float()
	return commands.Finite(f)
}

// met says whether the device reports the desired value. Floats are compared as 32-bit ones: a device may calculate in those.
func (s *Setting) met() bool {
	desired, isFloat := s.Desired.(float64)
	reported, ok := s.Reported.(float64)
	if isFloat && ok {
		return float32(desired) == float32(reported)
	}
	return s.Reported != nil && s.Desired == s.Reported
}

func bad(hint, format string, values ...any) *commands.Error {
	return &commands.Error{Kind: commands.ErrBad, Text: fmt.Sprintf(format, values...), Hint: hint}
}
