package hub

import (
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestHolesAreAskedForWhenNothingMoves(t *testing.T) {
	two, one := device.Ranges{{First: 3, Last: 4}, {First: 8, Last: 8}}, device.Ranges{{First: 8, Last: 8}}
	var h holes
	for _, c := range []struct {
		at      time.Duration
		missing device.Ranges
		want    bool
	}{
		{0, nil, false},
		{100 * time.Second, nil, false},
		{101 * time.Second, two, false}, // new
		{105 * time.Second, two, false}, // not yet 5 s old
		{106 * time.Second, two, true},
		{107 * time.Second, two, false},
		{135 * time.Second, two, false},
		{136 * time.Second, two, true},  // 30 s later
		{166 * time.Second, two, false}, // the pause doubles
		{196 * time.Second, two, true},
		{197 * time.Second, one, false}, // progress
		{225 * time.Second, one, false},
		{226 * time.Second, one, true}, // 30 s after the last
		{227 * time.Second, nil, false},
		{300 * time.Second, nil, false},
		{301 * time.Second, one, false},
		{306 * time.Second, one, true},
	} {
		if got := h.due(c.at, c.missing, defaultPace); got != c.want {
			t.Errorf("at %v: %v", c.at, got)
		}
	}
	asked := 0
	for at := 400 * time.Second; at < 24*time.Hour; at += time.Second {
		if h.due(at, one, defaultPace) {
			asked++
		}
	}
	if asked < 24*60/16-1 || asked > 24*60/16+6 {
		t.Errorf("a device that never answers is asked %d times a day", asked)
	}
}

func TestAskable(t *testing.T) {
	missing := func() device.Ranges {
		return device.Ranges{{First: 1, Last: 2}, {First: 4, Last: 9}, {First: 20, Last: 20}}
	}
	for oldest, want := range map[uint64]device.Ranges{
		1:  missing(),
		3:  missing()[1:],
		6:  {{First: 6, Last: 9}, {First: 20, Last: 20}},
		9:  {{First: 9, Last: 9}, {First: 20, Last: 20}},
		10: missing()[2:],
		21: missing(), // it holds none of them: it shall declare them lost
	} {
		if got := askable(missing(), oldest); !slices.Equal(got, want) {
			t.Errorf("oldest %d: %v, expected %v", oldest, got, want)
		}
	}
	if got := askable(nil, 5); len(got) != 0 {
		t.Error(got)
	}
}
