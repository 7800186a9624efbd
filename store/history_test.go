package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// count returns how many readings the store gives back; the history may be about to be replaced.
func count(t *testing.T, s *Store) (n int, err error) {
	t.Helper()
	for _, err := range s.Readings(t.Context(), history.Query{Device: "a"}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestHistoryDamagedWhileRunning(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	w := newWriter(t, s, 1)
	w.Send(50)
	settle(t, s)
	if err := s.history.Current().Flush(true); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.Dir(), "history.db")
	scramble(t, name)
	w.Send(1)
	settle(t, s)
	if err := s.history.Current().Flush(true); !errors.Is(err, history.ErrDamaged) {
		t.Fatalf("flush into a damaged file: %v", err)
	}
	w.Send(1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n, err := count(t, s)
		if err == nil && n == 52 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d readings, %v", n, err)
		}
	}
	if len(s.Status().Alarms) == 0 {
		t.Error("no alarm")
	}
	aside, err := filepath.Glob(name + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Errorf("set aside: %q, %v", aside, err)
	}
}
