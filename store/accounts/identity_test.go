package accounts

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// What ends does so in hub.db first, then in RAM. A checkpoint in between must not bring it back.
func TestUsesOfWhatHasEnded(t *testing.T) {
	s := start(t, "", time.Now)
	s.addUser(t, "kim", RoleViewer)
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
	s.sessions[session.Hash].seen.noted.Store(true)
	err = s.db.Update(func(tx *bbolt.Tx) error {
		sessions, keys := tx.Bucket(hubdb.BucketSessions), tx.Bucket(hubdb.BucketAPIKeys)
		if err := errors.Join(sessions.Delete(session.Hash[:]), keys.Delete([]byte("script")), s.SaveUses(tx)); err != nil {
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
