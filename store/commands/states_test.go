package commands

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

var allEvents = []event{eventSend, eventTimeout, eventCancel, eventSucceed, eventFail, eventReject, eventExpire}

// TestTransitions walks the table: each line is made to happen to a command in hub.db, and survives reopening the store; what is
// not a line changes nothing.
func TestTransitions(t *testing.T) {
	ways := map[State][]event{
		Queued: nil, Sent: {eventSend}, Unknown: {eventSend, eventTimeout},
		Succeeded: {eventSend, eventSucceed}, Failed: {eventSend, eventFail}, Rejected: {eventSend, eventReject},
		Expired: {eventTimeout}, Cancelled: {eventCancel},
	}
	if len(ways) != len(States()) {
		t.Fatalf("%d ways to %d states", len(ways), len(States()))
	}
	dir := t.TempDir()
	s := open(t, dir, time.Now, "a")
	want := map[device.CommandID]State{}
	happen := func(id device.CommandID, event event) (changed bool) {
		err := s.Do(func(ch *Change) error {
			c, err := ch.find(id)
			if err == nil {
				_, changed = ch.apply(c, event, byHub, nil)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	lines := 0
	for _, from := range States() {
		for _, event := range allEvents {
			c, err := s.Send(New{Device: "a", Name: "blink"})
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range ways[from] {
				happen(c.ID, step)
			}
			i := slices.IndexFunc(transitions[:], func(tr transition) bool { return tr.from == from && tr.event == event })
			want[c.ID] = from
			if i >= 0 {
				lines++
				want[c.ID] = transitions[i].to
			}
			if changed := happen(c.ID, event); changed != (i >= 0) {
				t.Errorf("%s, %s: changed is %v", from, event, changed)
			}
		}
	}
	if lines != len(transitions) {
		t.Errorf("%d of %d lines were walked", lines, len(transitions))
	}
	check := func(when string) {
		open := 0
		for id, state := range want {
			c, err := s.Get(id)
			if err != nil || c.State != state {
				t.Errorf("%s: %s, %v; want %s", when, c.State, err, state)
			}
			if state.Open() {
				open++
			}
		}
		if s.Book.open != open {
			t.Errorf("%s: %d open, want %d", when, s.Book.open, open)
		}
	}
	check("before")
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, time.Now, "a")
	check("after a restart")
	entries, err := s.trail.Entries(audit.Filter{Device: "a", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	steps := len(want) + lines // each was queued, and walked one line of the table perhaps
	for _, way := range ways {
		steps += len(way) * len(allEvents)
	}
	if len(entries) != steps {
		t.Errorf("%d transitions are in the audit trail, want %d", len(entries), steps)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Nothing leads out of the settled states but an answer to an unknown command.
func TestSettledStatesAreTheEnd(t *testing.T) {
	for _, tr := range transitions {
		if !tr.from.Open() && tr.from != Unknown || tr.to == Queued || tr.from == tr.to {
			t.Errorf("%+v", tr)
		}
	}
	seen := map[string]bool{}
	for _, tr := range transitions {
		key := fmt.Sprint(tr.from, tr.event)
		if seen[key] {
			t.Errorf("two lines for %s", key)
		}
		seen[key] = true
	}
}
