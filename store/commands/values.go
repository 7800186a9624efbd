package commands

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// wholeNumbers makes integers of whole floats where the command takes integers.
func wholeNumbers(spec *device.CommandSpec, args map[string]any) map[string]any {
	args = maps.Clone(args)
	for i := range spec.Args {
		if a := &spec.Args[i]; a.Type == device.Int {
			if v, ok := args[a.Name]; ok {
				args[a.Name] = WholeNumber(v)
			}
		}
	}
	return args
}

// WholeNumber makes an integer of a whole float: JSON knows no difference.
func WholeNumber(v any) any {
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

// ParseArgs reads the arguments of a command from text, as people type them. What cannot be read stays a text, and Send
// says what it should have been.
func (b *Book) ParseArgs(deviceID, name string, texts map[string]string) map[string]any {
	args := make(map[string]any, len(texts))
	var spec *device.CommandSpec
	if d, err := b.Device(deviceID); err == nil && d.Schema != nil {
		spec, _ = d.Schema.Command(name)
	}
	for key, text := range texts {
		args[key] = text
		if spec == nil {
			continue
		}
		if i := slices.IndexFunc(spec.Args, func(a device.Arg) bool { return a.Name == key }); i >= 0 {
			args[key] = ParseValue(spec.Args[i].Type, text)
		}
	}
	return args
}

// ParseValue reads a value of a type, and returns the text if it is none.
func ParseValue(t device.ValueType, text string) any {
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
