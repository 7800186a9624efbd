package store

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// commandSchema is what the tests' devices can be told.
func commandSchema() *device.Schema {
	return &device.Schema{
		Channels: []device.Channel{{ID: 1, Name: "setpoint", Type: device.Int, Scale: -1, Unit: "Cel", Writable: true}},
		Commands: []device.CommandSpec{{Name: "blink", Idempotent: true}},
	}
}

// openCommanded opens a store with devices that have announced commandSchema. It does not run.
func openCommanded(t testing.TB, o Options, ids ...string) *Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	message := device.AppendControl(nil, commandSchema())
	for _, id := range ids {
		if _, err := s.Devices.Get(id); err != nil {
			if _, err := s.Devices.Add([]devices.NewDevice{{ID: id}}); err != nil {
				t.Fatal(err)
			}
		}
		s.Devices.Note(id, &device.Hello{SchemaHash: device.HashSchema(message)})
	}
	if len(ids) > 0 {
		s.schemas.Put(device.HashSchema(message), commandSchema(), message)
	}
	return s
}

// What a device can be told is known after a crash, before it is back.
func TestSchemaIsKnownAfterACrash(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openCommanded(t, o, "a")
	if _, _, err := s.Commands.Delivery("a", 1).Exchange(nil); err != nil {
		t.Fatal(err)
	}
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil { // without a checkpoint
			t.Fatal(err)
		}
		s = openCommanded(t, o)
	}
	reopen()
	if _, err := s.Commands.Send(commands.New{Device: "a", Name: "blink"}); err != nil {
		t.Error(err)
	}
	if err := s.Commands.Remove("a"); err != nil {
		t.Fatal(err)
	}
	reopen()
	if _, err := s.Commands.Send(commands.New{Device: "a", Name: "blink"}); !errors.Is(err, commands.ErrBad) {
		t.Errorf("after it was forgotten: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
