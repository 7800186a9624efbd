package accounts

import (
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// TestIdentifyDoesNotWaitForTheDisk has a change wait for hub.db: meanwhile the page and scripts are served.
func TestIdentifyDoesNotWaitForTheDisk(t *testing.T) {
	r := start(t, "", time.Now)
	r.addUser(t, "kim", RoleAdmin)
	secret, id := r.login(t, "kim", password)
	begun, end := make(chan struct{}), make(chan struct{})
	go func() {
		if err := r.db.Update(func(*bbolt.Tx) error { close(begun); <-end; return nil }); err != nil {
			t.Error(err)
		}
	}()
	<-begun
	changed := make(chan error, 1)
	go func() { _, err := r.AddAPIKey("script", RoleViewer); changed <- err }()
	time.Sleep(100 * time.Millisecond) // it waits by now
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.wantIdentity(t, secret, "kim", RoleAdmin)
		if _, err := r.Recheck(id); err != nil || len(r.Users()) != 1 || !r.HasUsers() || len(r.APIKeys()) != 0 {
			t.Error(err)
		}
		if err := r.CheckPassword(t.Context(), "kim", password); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-answered:
	case <-time.After(5 * time.Second):
		t.Error("whoever is logged in waits for the disk")
	}
	select {
	case err := <-changed:
		t.Errorf("the change did not wait: %v", err)
	default:
	}
	close(end)
	if err := <-changed; err != nil {
		t.Error(err)
	}
	<-answered
}
