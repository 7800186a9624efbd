package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestDamagedWhileRunning has hub.db damaged under a running store: Run ends and says so, no frame is lost, and the next start
// replaces the file.
func TestDamagedWhileRunning(t *testing.T) {
	for name, notice := range map[string]func(s *Store) error{
		"by a checkpoint": func(s *Store) error { return s.Ledger.Checkpoint() },
		"by another": func(s *Store) error {
			_, err := s.Devices.Add([]devices.NewDevice{{ID: "b", Kind: "meter"}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir})
			register(t, s, "a")
			done := make(chan error, 1)
			go func() { done <- s.Run(context.WithoutCancel(t.Context())) }()
			w := newWriter(t, s, 1)
			w.Send(10)
			if err := s.Ledger.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			scramble(t, filepath.Join(dir, "hub.db"))
			w.Send(10)
			if err := notice(s); err == nil {
				t.Error("the damage was not noticed")
			}
			if err := <-done; !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("Run ended with %v", err)
			}
			if err := s.Ledger.Checkpoint(); !errors.Is(err, ErrClosed) {
				t.Errorf("checkpoint afterwards: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}

			s = open(t, Options{Dir: dir})
			defer storetest.Run(t, s)()
			if n := s.Ledger.Books("a").Frames; n != 20 {
				t.Errorf("%d frames in the books, want 20", n)
			}
			aside, err := filepath.Glob(filepath.Join(dir, "hub.db.damaged-*"))
			if err != nil || len(aside) != 1 {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			if _, err := s.Devices.Get("a"); err != nil {
				t.Errorf("the registry: %v", err)
			}
			if len(s.Status().Alarms) == 0 {
				t.Error("no alarm")
			}
		})
	}
}

// scramble overwrites all of a bbolt file but its two meta pages.
func scramble(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, info.Size()-2*4096)
	for i := range garbage {
		garbage[i] = byte(i*7 + i>>8)
	}
	if _, err := f.WriteAt(garbage, 2*4096); err != nil {
		t.Fatal(err)
	}
}
