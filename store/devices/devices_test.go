package devices

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/names"
)

func add(t testing.TB, r *rig, ids ...string) (tokens []string) {
	t.Helper()
	var devices []NewDevice
	for _, id := range ids {
		devices = append(devices, NewDevice{ID: id})
	}
	credentials, err := r.Add(devices)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range credentials {
		tokens = append(tokens, c.Token)
	}
	return tokens
}

func wantToken(t testing.TB, r *rig, token, id string, want error) {
	t.Helper()
	got, err := r.Authenticate(token)
	if !errors.Is(err, want) || want == nil && (err != nil || got != id) {
		t.Errorf("authenticated as %q, %v; want %q, %v", got, err, id, want)
	}
}

func TestAddDevices(t *testing.T) {
	h := start(t, "", time.Now)
	token := add(t, h, "a")[0]
	wantToken(t, h, token, "a", nil)
	wantToken(t, h, "", "", ErrUnknownToken)
	wantToken(t, h, token+"x", "", ErrUnknownToken)
	for _, bad := range []NewDevice{
		{}, {ID: "a b"}, {ID: "-a"}, {ID: strings.Repeat("a", device.MaxName+1)}, {ID: "b", Kind: "k,l"}, {ID: "ä"},
		{ID: "b", Labels: map[string]string{"room": ""}}, {ID: "b", Labels: map[string]string{"ro om": "1"}},
		{ID: "b", Labels: map[string]string{"room": "a\nb"}}, {ID: "b", Labels: map[string]string{"room": "a\u202eb"}},
		{ID: "b", Labels: map[string]string{"room": "a\u200d"}}, {ID: "b", Labels: map[string]string{"room": "a\xff"}},
	} {
		if _, err := h.Add([]NewDevice{{ID: "new"}, bad}); !errors.Is(err, names.ErrBad) {
			t.Errorf("%+v: %v, want ErrBadName", bad, err)
		}
	}
	if _, err := h.Add([]NewDevice{{ID: "new"}, {ID: "a"}}); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if _, err := h.Add([]NewDevice{{ID: "new"}, {ID: "new"}}); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if got := h.All(); len(got) != 1 || got[0].ID != "a" || got[0].Kind != "telemetry" {
		t.Errorf("a refused call left %+v", got)
	}
}

func TestTokensAtRest(t *testing.T) {
	h := start(t, "", time.Now)
	token := add(t, h, "a")[0]
	h.stop(t)
	for _, name := range []string{"hub.db", "devices.json"} {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
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
	dir, now := t.TempDir(), func() time.Time { return epoch.Add(time.Duration(elapsed.Load())) }
	h := start(t, dir, now)
	first := add(t, h, "a")[0]
	rotate := func() string {
		token, err := h.Rotate("a")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	second := rotate()
	later(1000 * time.Hour)
	wantToken(t, h, first, "a", nil) // the new one was never used
	wantToken(t, h, second, "a", nil)
	later(23 * time.Hour)
	wantToken(t, h, first, "a", nil)
	h.stop(t)
	h = start(t, dir, now)
	wantToken(t, h, first, "a", nil)
	later(2 * time.Hour)
	wantToken(t, h, first, "", ErrUnknownToken)
	wantToken(t, h, second, "a", nil)

	third, fourth := rotate(), rotate()
	wantToken(t, h, second, "", ErrUnknownToken) // at most two
	wantToken(t, h, third, "a", nil)
	wantToken(t, h, fourth, "a", nil)

	if err := h.Revoke("a"); err != nil {
		t.Fatal(err)
	}
	wantToken(t, h, fourth, "", ErrRevoked)
	fifth := rotate()
	wantToken(t, h, fifth, "a", nil)
	wantToken(t, h, fourth, "", ErrUnknownToken)
	for _, err := range []error{h.Revoke("b"), h.Remove("b")} {
		if !errors.Is(err, ErrNoDevice) {
			t.Errorf("%v, want ErrNoDevice", err)
		}
	}
}

func TestChange(t *testing.T) {
	h := start(t, "", time.Now)
	if _, err := h.Add([]NewDevice{{ID: "a", Labels: map[string]string{"site": "north"}}}); err != nil {
		t.Fatal(err)
	}
	version := h.Version()
	if err := h.Change("a", func(d *NewDevice) { d.Kind, d.Labels["floor"] = "meter", "2" }); err != nil {
		t.Fatal(err)
	}
	if h.Version() == version {
		t.Error("nobody learns of it")
	}
	if err := h.Change("a", func(d *NewDevice) { d.Labels["bad name"] = "x" }); !errors.Is(err, names.ErrBad) {
		t.Errorf("a bad label: %v", err)
	}
	if err := h.Change("b", func(*NewDevice) {}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("no such device: %v", err)
	}
	h.stop(t)
	h = start(t, h.dir, time.Now)
	d, err := h.Get("a")
	if err != nil || d.Kind != "meter" || len(d.Labels) != 2 || d.Labels["site"] != "north" || d.Labels["floor"] != "2" || len(d.Tokens) != 1 {
		t.Errorf("%+v: %v", d, err)
	}
}
