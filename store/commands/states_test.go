package commands

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

var allEvents = []commandEvent{eventSend, eventTimeout, eventCancel, eventSucceed, eventFail, eventReject, eventExpire}

// commandSchema is what the tests' devices can be told.
func commandSchema() *device.Schema {
	low, high := 5.0, 35.0
	return &device.Schema{
		Channels: []device.Channel{
			{ID: 0, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
			{ID: 1, Name: "setpoint", Type: device.Int, Scale: -1, Unit: "Cel", Writable: true},
			{ID: 2, Name: "mode", Type: device.String, Writable: true},
			{ID: 3, Name: "level", Type: device.Int, Writable: true},
			{ID: 4, Name: "gain", Type: device.Float32, Writable: true},
		},
		Commands: []device.CommandSpec{
			{Name: "blink", Idempotent: true},
			{Name: "reboot", Confirm: device.ConfirmTyped},
			{Name: "set_setpoint", Supersedes: true, Idempotent: true, Args: []device.Arg{{Name: "celsius", Type: device.Float64, Unit: "Cel", Min: &low, Max: &high}}},
			{Name: "count", Args: []device.Arg{{Name: "n", Type: device.Int}, {Name: "note", Type: device.String, Optional: true}}},
		},
	}
}

// openForCommands opens a store with devices that have announced commandSchema. It does not run.
func openForCommands(t testing.TB, dir string, now func() time.Time, devices ...string) *Store {
	t.Helper()
	return openCommanded(t, Options{Dir: dir, Now: now}, devices...)
}

func openCommanded(t testing.TB, o Options, devices ...string) *Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	message := device.AppendControl(nil, commandSchema())
	for _, id := range devices {
		if _, err := s.Device(id); err != nil {
			if _, err := s.AddDevices([]NewDevice{{ID: id}}); err != nil {
				t.Fatal(err)
			}
		}
		s.NoteDevice(id, &device.Hello{SchemaHash: device.HashSchema(message)})
	}
	s.schemas.Put(device.HashSchema(message), commandSchema(), message)
	return s
}

// TestTransitions walks the table: each line is made to happen to a command in hub.db, and survives reopening the store; what is
// not a line changes nothing.
func TestTransitions(t *testing.T) {
	ways := map[CommandState][]commandEvent{
		CommandQueued: nil, CommandSent: {eventSend}, CommandUnknown: {eventSend, eventTimeout},
		CommandSucceeded: {eventSend, eventSucceed}, CommandFailed: {eventSend, eventFail}, CommandRejected: {eventSend, eventReject},
		CommandExpired: {eventTimeout}, CommandCancelled: {eventCancel},
	}
	if len(ways) != len(CommandStates()) {
		t.Fatalf("%d ways to %d states", len(ways), len(CommandStates()))
	}
	dir := t.TempDir()
	s := openForCommands(t, dir, nil, "a")
	want := map[device.CommandID]CommandState{}
	happen := func(id device.CommandID, event commandEvent) (changed bool) {
		err := s.commands.do(func(ch *commandChange) error {
			c, err := ch.find(id)
			if err == nil {
				_, changed = ch.apply(c, event, theHub, nil)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	lines := 0
	for _, from := range CommandStates() {
		for _, event := range allEvents {
			c, err := s.SendCommand(NewCommand{Device: "a", Name: "blink"})
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range ways[from] {
				happen(c.ID, step)
			}
			i := slices.IndexFunc(commandTransitions[:], func(tr commandTransition) bool { return tr.from == from && tr.event == event })
			want[c.ID] = from
			if i >= 0 {
				lines++
				want[c.ID] = commandTransitions[i].to
			}
			if changed := happen(c.ID, event); changed != (i >= 0) {
				t.Errorf("%s, %s: changed is %v", from, event, changed)
			}
		}
	}
	if lines != len(commandTransitions) {
		t.Errorf("%d of %d lines were walked", lines, len(commandTransitions))
	}
	check := func(when string) {
		open := 0
		for id, state := range want {
			c, err := s.Command(id)
			if err != nil || c.State != state {
				t.Errorf("%s: %s, %v; want %s", when, c.State, err, state)
			}
			if state.Open() {
				open++
			}
		}
		if s.commands.open != open {
			t.Errorf("%s: %d open, want %d", when, s.commands.open, open)
		}
	}
	check("before")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openForCommands(t, dir, nil, "a")
	check("after a restart")
	entries, err := s.Audit.Entries(audit.Filter{Device: "a", Limit: 1000})
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
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Nothing leads out of the settled states but an answer to an unknown command.
func TestSettledStatesAreTheEnd(t *testing.T) {
	for _, tr := range commandTransitions {
		if !tr.from.Open() && tr.from != CommandUnknown || tr.to == CommandQueued || tr.from == tr.to {
			t.Errorf("%+v", tr)
		}
	}
	seen := map[string]bool{}
	for _, tr := range commandTransitions {
		key := fmt.Sprint(tr.from, tr.event)
		if seen[key] {
			t.Errorf("two lines for %s", key)
		}
		seen[key] = true
	}
}
