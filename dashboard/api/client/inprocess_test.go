package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// Without a hub the files are opened, and closed with the client.
func TestConnectWithoutHub(t *testing.T) {
	o := Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Version: "v1"}
	if _, err := Connect(t.Context(), o); !errors.Is(err, ErrNoData) {
		t.Fatalf("an empty directory: %v", err)
	}
	o.Create = true
	c, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddDevices(t.Context(), []devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Follow(t.Context(), ReadingsQuery{Devices: []string{"a"}, Format: "csv"}, io.Discard); !errors.Is(err, socket.ErrNotRunning) {
		t.Errorf("follow without a hub: %v", err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Connect(impatient, o); err == nil {
		t.Error("the files were opened twice")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	o.Create = false
	copied, remove, err := Copy(t.Context(), o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{o.Dir, copied} {
		o.Dir = dir
		c, err := Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Status(t.Context())
		if err != nil || s.Running || s.Devices != 1 || s.Version != "v1" {
			t.Errorf("%+v, %v", s, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(copied, "hub.db")); err != nil {
		t.Error(err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
}

func TestRemoteAddress(t *testing.T) {
	for _, address := range []string{"", "hub", "http://hub", "https://", "https://hub/api", "https://hub?x=1", "https://user:word@hub", "https://[hub"} {
		if c, err := Remote(address, "key", nil); err == nil {
			t.Errorf("%q is taken: %s", address, c.base)
		}
	}
	if c, err := Remote("https://hub:8443/", "key", nil); err != nil || c.base != "https://hub:8443/api/v1" {
		t.Errorf("%+v, %v", c, err)
	}
}
