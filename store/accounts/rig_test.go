package accounts

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const password = "correct horse"

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move while others read it.
type clock struct{ sinceEpoch atomic.Int64 }

func (c *clock) now() time.Time { return epoch.Add(time.Duration(c.sinceEpoch.Load())) }

func (c *clock) set(sinceEpoch time.Duration) { c.sinceEpoch.Store(int64(sinceEpoch)) }

func (c *clock) pass(d time.Duration) { c.sinceEpoch.Add(int64(d)) }

// rig is accounts in a directory.
type rig struct {
	*Accounts
	dir    string
	alarms *alarms.List
}

// start opens the accounts in a directory, "" for a new one, as a hub does when it starts. The test's end, if not stop, closes them.
func start(t testing.TB, dir string, now func() time.Time) *rig {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	db, _, err := hubdb.Open(dir, now())
	if err != nil {
		t.Fatal(err)
	}
	clock, log := wallclock.Steady(now), slog.New(slog.DiscardHandler)
	r := &rig{dir: dir, alarms: alarms.New(clock, log)}
	if r.Accounts, err = Open(dir, db, clock, r.alarms, log); err != nil {
		t.Fatal(err)
	}
	db.RemoveDamaged(log, now())
	r.Restore()
	t.Cleanup(func() { _ = db.Close() })
	return r
}

// stop writes what a last checkpoint does, and closes the file.
func (r *rig) stop(t testing.TB) {
	t.Helper()
	if err := errors.Join(r.db.Update(r.SaveUses), r.db.Close()); err != nil {
		t.Fatal(err)
	}
}

// copyDir copies the files of a rig that has been stopped.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func (r *rig) addUser(t testing.TB, name string, role Role) {
	t.Helper()
	if err := r.AddUser(name, password, role); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) login(t testing.TB, name, password string) (secret string, id Identity) {
	t.Helper()
	secret, id, err := r.Login(t.Context(), name, password)
	if err != nil {
		t.Fatalf("log in as %s: %v", name, err)
	}
	return secret, id
}

// wantIdentity checks whose secret it is; name "" stands for nobody's.
func (r *rig) wantIdentity(t testing.TB, secret, name string, role Role) {
	t.Helper()
	id, err := r.Identify(secret)
	if name == "" {
		if !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("got %+v, %v, want ErrUnauthenticated", id, err)
		}
		return
	}
	if err != nil || id.Name != name || id.Role != role {
		t.Errorf("got %+v, %v, want %s with the role %s", id, err, name, role)
	}
}
