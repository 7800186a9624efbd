package store_test

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func add(t testing.TB, s *store.Store, ids ...string) (tokens []string) {
	t.Helper()
	var devices []store.NewDevice
	for _, id := range ids {
		devices = append(devices, store.NewDevice{ID: id})
	}
	credentials, err := s.AddDevices(devices)
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
	got, err := s.Authenticate(token)
	if !errors.Is(err, want) || want == nil && (err != nil || got != id) {
		t.Errorf("authenticated as %q, %v; want %q, %v", got, err, id, want)
	}
}

func TestAddDevices(t *testing.T) {
	h := start(t, store.Options{})
	token := add(t, h.Store, "a")[0]
	wantToken(t, h.Store, token, "a", nil)
	wantToken(t, h.Store, "", "", store.ErrUnknownToken)
	wantToken(t, h.Store, token+"x", "", store.ErrUnknownToken)
	for _, bad := range []store.NewDevice{
		{}, {ID: "a b"}, {ID: "-a"}, {ID: strings.Repeat("a", device.MaxName+1)}, {ID: "b", Kind: "k,l"}, {ID: "ä"},
		{ID: "b", Labels: map[string]string{"room": ""}}, {ID: "b", Labels: map[string]string{"ro om": "1"}},
		{ID: "b", Labels: map[string]string{"room": "a\nb"}}, {ID: "b", Labels: map[string]string{"room": "a\u202eb"}},
		{ID: "b", Labels: map[string]string{"room": "a\u200d"}}, {ID: "b", Labels: map[string]string{"room": "a\xff"}},
	} {
		if _, err := h.AddDevices([]store.NewDevice{{ID: "new"}, bad}); !errors.Is(err, names.ErrBad) {
			t.Errorf("%+v: %v, want ErrBadName", bad, err)
		}
	}
	if _, err := h.AddDevices([]store.NewDevice{{ID: "new"}, {ID: "a"}}); !errors.Is(err, store.ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if _, err := h.AddDevices([]store.NewDevice{{ID: "new"}, {ID: "new"}}); !errors.Is(err, store.ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if got := h.Devices(); len(got) != 1 || got[0].ID != "a" || got[0].Kind != "telemetry" {
		t.Errorf("a refused call left %+v", got)
	}
}

func TestTokensAtRest(t *testing.T) {
	h := start(t, store.Options{})
	token := add(t, h.Store, "a")[0]
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hub.db", "devices.json"} {
		b, err := os.ReadFile(path(h.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), token) || strings.Contains(string(b), strings.TrimPrefix(token, "thd_")) {
			t.Errorf("%s holds the token", name)
		}
	}
}

func TestRotateAndRevoke(t *testing.T) {
	var elapsed atomic.Int64
	later := func(d time.Duration) { elapsed.Add(int64(d)) }
	o := store.Options{Dir: t.TempDir(), Now: func() time.Time { return epoch.Add(time.Duration(elapsed.Load())) }}
	h := start(t, o)
	first := add(t, h.Store, "a")[0]
	rotate := func() string {
		token, err := h.RotateToken("a")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	second := rotate()
	later(1000 * time.Hour)
	wantToken(t, h.Store, first, "a", nil) // the new one was never used
	wantToken(t, h.Store, second, "a", nil)
	later(23 * time.Hour)
	wantToken(t, h.Store, first, "a", nil)
	if err := h.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, o)
	wantToken(t, h.Store, first, "a", nil)
	later(2 * time.Hour)
	wantToken(t, h.Store, first, "", store.ErrUnknownToken)
	wantToken(t, h.Store, second, "a", nil)

	third, fourth := rotate(), rotate()
	wantToken(t, h.Store, second, "", store.ErrUnknownToken) // at most two
	wantToken(t, h.Store, third, "a", nil)
	wantToken(t, h.Store, fourth, "a", nil)

	if err := h.RevokeDevice("a"); err != nil {
		t.Fatal(err)
	}
	wantToken(t, h.Store, fourth, "", store.ErrRevoked)
	fifth := rotate()
	wantToken(t, h.Store, fifth, "a", nil)
	wantToken(t, h.Store, fourth, "", store.ErrUnknownToken)
	for _, err := range []error{h.RevokeDevice("b"), h.RemoveDevice("b")} {
		if !errors.Is(err, store.ErrNoDevice) {
			t.Errorf("%v, want ErrNoDevice", err)
		}
	}
}

func TestRemoveDevice(t *testing.T) {
	h := start(t, store.Options{})
	token := add(t, h.Store, "a", "b")[0]
	c, other := connect(t, h.Store, "a", 1), connect(t, h.Store, "b", 1)
	c.send(1, 2)
	other.send(1)
	c.await(1, 2)
	if err := h.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	message, d := data(3)
	if err := c.Frame(t.Context(), message, d, tail.Timing{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a removed device's frame: %v, want ErrClosed", err)
	}
	check := func(s *store.Store) {
		t.Helper()
		wantToken(t, s, token, "", store.ErrUnknownToken)
		if got := s.Books("a"); got != (store.Books{}) {
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
	c.send(1)
	c.await(1)
	wantFrames(t, h.Store, "a", []uint64{1})
}

func TestChangeDevice(t *testing.T) {
	h := start(t, store.Options{})
	if _, err := h.AddDevices([]store.NewDevice{{ID: "a", Labels: map[string]string{"site": "north"}}}); err != nil {
		t.Fatal(err)
	}
	version := h.RegistryVersion()
	if err := h.ChangeDevice("a", func(d *store.NewDevice) { d.Kind, d.Labels["floor"] = "meter", "2" }); err != nil {
		t.Fatal(err)
	}
	if h.RegistryVersion() == version {
		t.Error("nobody learns of it")
	}
	if err := h.ChangeDevice("a", func(d *store.NewDevice) { d.Labels["bad name"] = "x" }); !errors.Is(err, names.ErrBad) {
		t.Errorf("a bad label: %v", err)
	}
	if err := h.ChangeDevice("b", func(*store.NewDevice) {}); !errors.Is(err, store.ErrNoDevice) {
		t.Errorf("no such device: %v", err)
	}
	h.stop()
	h = start(t, store.Options{Dir: h.Dir()})
	d, err := h.Device("a")
	if err != nil || d.Kind != "meter" || len(d.Labels) != 2 || d.Labels["site"] != "north" || d.Labels["floor"] != "2" || len(d.Tokens) != 1 {
		t.Errorf("%+v: %v", d, err)
	}
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
	h.NoteDevice("a", hello)
	c.send(1)
	c.await(1)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, store.Options{Dir: h.Dir()})
	d, err := h.Device("a")
	if err != nil || d.Firmware != "1.2" || d.Model != "m" {
		t.Errorf("%+v, %v", d, err)
	}
	if s, ok := h.DeviceSchema("a"); !ok || len(s.Channels) != 2 {
		t.Errorf("schema %+v, %t", s, ok)
	}
}
