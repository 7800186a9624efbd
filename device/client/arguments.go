package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// checkArguments compares a command with its description and returns its arguments, numbers in the type described. The error says
// what is wrong, for people.
func checkArguments(spec *device.CommandSpec, args map[string]any) (map[string]any, error) {
	checked := maps.Clone(args)
	for i := range spec.Args {
		a := &spec.Args[i]
		v, ok := checked[a.Name]
		if !ok {
			if a.Optional {
				continue
			}
			return nil, fmt.Errorf("argument %q is missing", a.Name)
		}
		v, err := checkArgument(a, v)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.Name, err)
		}
		checked[a.Name] = v
	}
	for name := range args {
		if !slices.ContainsFunc(spec.Args, func(a device.Arg) bool { return a.Name == name }) {
			return nil, fmt.Errorf("there is no argument %q", name)
		}
	}
	return checked, nil
}

var errWrongType = errors.New("is of the wrong type")

func checkArgument(a *device.Arg, v any) (any, error) {
	isFloat := a.Type == device.Float32 || a.Type == device.Float64
	var number float64
	switch x := v.(type) {
	case bool:
		if a.Type == device.Bool {
			return v, nil
		}
		return nil, errWrongType
	case string:
		if a.Type == device.String {
			return v, nil
		}
		return nil, errWrongType
	case int64:
		number = float64(x)
		if isFloat {
			v = number
		} else if a.Type != device.Int {
			return nil, errWrongType
		}
	case float64:
		number = x
		if !isFloat {
			return nil, errWrongType
		}
	default:
		return nil, errWrongType
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
