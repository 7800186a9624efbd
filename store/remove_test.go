package store_test

import (
	"errors"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func add(t testing.TB, s *store.Store, ids ...string) (tokens []string) {
	t.Helper()
	var list []devices.NewDevice
	for _, id := range ids {
		list = append(list, devices.NewDevice{ID: id})
	}
	credentials, err := s.Devices.Add(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range credentials {
		tokens = append(tokens, c.Token)
	}
	return tokens
}

func wantToken(t testing.TB, s *store.Store, token, id string, want error) {
	t.Helper()
	got, err := s.Devices.Authenticate(token)
	if !errors.Is(err, want) || want == nil && (err != nil || got != id) {
		t.Errorf("authenticated as %q, %v; want %q, %v", got, err, id, want)
	}
}

func TestRemoveDevice(t *testing.T) {
	h := start(t, store.Options{})
	token := add(t, h.Store, "a", "b")[0]
	c, other := connect(t, h.Store, "a", 1), connect(t, h.Store, "b", 1)
	c.Send(1, 2)
	other.Send(1)
	c.Await(1, 2)
	if err := h.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	message, d := data(3)
	if err := c.Frame(t.Context(), message, d, tail.Timing{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a removed device's frame: %v, want ErrClosed", err)
	}
	check := func(s *store.Store) {
		t.Helper()
		wantToken(t, s, token, "", devices.ErrUnknownToken)
		if got := s.Ledger.Books("a"); got != (ledger.Books{}) {
			t.Errorf("books %+v", got)
		}
		wantFrames(t, s, "a", nil)
		wantFrames(t, s, "b", []uint64{1})
	}
	check(h.Store)
	check(start(t, store.Options{Dir: copyDir(t, h.Dir())}).Store)

	// The same name again is a new device.
	add(t, h.Store, "a")
	c = connect(t, h.Store, "a", 1)
	c.Send(1)
	c.Await(1)
	wantFrames(t, h.Store, "a", []uint64{1})
}

func TestLocked(t *testing.T) {
	h := start(t, store.Options{})
	if _, err := store.Open(store.Options{Dir: h.Dir()}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
}

func TestNotesSurvive(t *testing.T) {
	h := start(t, store.Options{})
	add(t, h.Store, "a")
	hello := &device.Hello{Firmware: "1.2", Model: "m", SchemaHash: device.HashSchema(schemaMessage)}
	if _, _, ok := h.SchemaByHash(hello.SchemaHash); ok {
		t.Error("a schema nobody announced")
	}
	c := connect(t, h.Store, "a", 1)
	h.Devices.Note("a", hello)
	c.Send(1)
	c.Await(1)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, store.Options{Dir: h.Dir()})
	d, err := h.Devices.Get("a")
	if err != nil || d.Firmware != "1.2" || d.Model != "m" {
		t.Errorf("%+v, %v", d, err)
	}
	if s, ok := h.DeviceSchema("a"); !ok || len(s.Channels) != 2 {
		t.Errorf("schema %+v, %t", s, ok)
	}
}
