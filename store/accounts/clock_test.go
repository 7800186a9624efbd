package accounts

import (
	"log/slog"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock/clocktest"
)

// A clock is set by years while hub.db is busy: nobody is logged out for it, not even until the sessions are written.
func TestNobodyIsLoggedOutWhileTheClockIsFollowed(t *testing.T) {
	machine := clocktest.NewMachine(epoch)
	clock, log, dir := machine.Clock(), slog.New(slog.DiscardHandler), t.TempDir()
	db, _, err := hubdb.Open(dir, epoch)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list := alarms.New(clock, log)
	accounts, err := Open(dir, db, clock, list, log)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{accounts, dir, list}
	r.addUser(t, "kim", RoleAdmin)
	secret, _ := r.login(t, "kim", password)
	for _, by := range []time.Duration{10 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour} {
		machine.Set(by)
		clock.Now() // notices it
		begun, end := make(chan struct{}), make(chan struct{})
		busy := make(chan error, 1)
		go func() { busy <- db.Update(func(*bbolt.Tx) error { close(begun); <-end; return nil }) }()
		<-begun
		followed := make(chan error, 1)
		go func() { followed <- r.FollowClock() }()
		for range 20 {
			r.wantIdentity(t, secret, "kim", RoleAdmin)
			time.Sleep(5 * time.Millisecond)
		}
		close(end)
		if err := <-followed; err != nil {
			t.Error(err)
		}
		if err := <-busy; err != nil {
			t.Error(err)
		}
		r.wantIdentity(t, secret, "kim", RoleAdmin)
	}
}
