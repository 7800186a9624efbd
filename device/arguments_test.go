package device

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArguments(t *testing.T) {
	low, high := -1.0, 10.0
	spec := &CommandSpec{Name: "set", Args: []Arg{
		{Name: "b", Type: Bool, Optional: true}, {Name: "s", Type: String, Optional: true},
		{Name: "i", Type: Int, Min: &low, Max: &high}, {Name: "f", Type: Float32, Max: &high, Optional: true},
	}}
	for _, c := range []struct {
		args map[string]any
		want map[string]any // nil: refused
	}{
		{map[string]any{"i": int64(10)}, map[string]any{"i": int64(10)}},
		{map[string]any{"i": int64(-1), "f": int64(3), "b": true, "s": "x"}, map[string]any{"i": int64(-1), "f": 3.0, "b": true, "s": "x"}},
		{nil, nil},
		{map[string]any{"i": int64(11)}, nil},
		{map[string]any{"i": int64(-2)}, nil},
		{map[string]any{"i": 1.5}, nil},
		{map[string]any{"i": "1"}, nil},
		{map[string]any{"i": true}, nil},
		{map[string]any{"i": int64(1), "f": math.NaN()}, nil},
		{map[string]any{"i": int64(1), "f": "x"}, nil},
		{map[string]any{"i": int64(1), "b": int64(1)}, nil},
		{map[string]any{"i": int64(1), "s": 1.5}, nil},
		{map[string]any{"i": int64(1), "else": true}, nil},
	} {
		got, err := spec.CheckArgs(c.args)
		if (err == nil) != (c.want != nil) || !cmp.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v", c.args, got, err)
		}
	}
}

func TestCommandIDs(t *testing.T) {
	id := NewCommandID()
	if back, err := ParseCommandID(id.String()); err != nil || back != id || id == NewCommandID() {
		t.Errorf("%v became %v, %v", id, back, err)
	}
	if upper, err := ParseCommandID("0193F05E-7A10-7C2B-9D41-3E88510C6FAA"); err != nil || upper.String() != "0193f05e-7a10-7c2b-9d41-3e88510c6faa" {
		t.Errorf("%v, %v", upper, err)
	}
	for _, bad := range []string{
		"", "0193f05e7a107c2b9d413e88510c6faa", "00000000-0000-0000-0000-000000000000", "0193f05e-7a10-7c2b-9d41-3e88510c6fag",
		"{0193f05e-7a10-7c2b-9d41-3e88510c6faa}", "0193f05e-7a10-7c2b-9d41-3e88510c6faa ", "0193f05e-7a10-7c2b-9d413-e88510c6faa",
	} {
		if id, err := ParseCommandID(bad); err == nil {
			t.Errorf("%q was read as %v", bad, id)
		}
	}
}
