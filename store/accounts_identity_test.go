package store

import (
	"errors"
	"log/slog"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// What ends does so in hub.db first, then in RAM. A checkpoint in between must not bring it back.
func TestUsesOfWhatHasEnded(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddUser("kim", "correct horse", RoleViewer); err != nil {
		t.Fatal(err)
	}
	_, session, err := s.OpenSession("kim")
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.AddAPIKey("script", RoleViewer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Identify(key); err != nil {
		t.Fatal(err)
	}
	s.access.sessions[session.Hash].seen.noted.Store(true)
	err = s.db.Update(func(tx *bbolt.Tx) error {
		sessions, keys := tx.Bucket(hubdb.BucketSessions), tx.Bucket(hubdb.BucketAPIKeys)
		if err := errors.Join(sessions.Delete(session.Hash[:]), keys.Delete([]byte("script")), s.access.saveUses(tx)); err != nil {
			return err
		}
		if sessions.Get(session.Hash[:]) != nil || keys.Get([]byte("script")) != nil {
			t.Error("it came back")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
