package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// flipByte damages a file in its middle.
func flipByte(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedHistoryAndJournal damages all that the history has, and a segment of the journal that no start reads otherwise. What is in
// neither is missing, and said to be.
func TestDamagedHistoryAndJournal(t *testing.T) {
	s := open(t, Options{})
	stop := storetest.Run(t, s)
	if _, err := s.Devices.Add([]devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	const sent = 300
	newWriter(t, s, 1).fill(sent)
	settle(t, s)
	segments := s.journal.Segments()
	stop()
	if len(segments) < 3 || segments[0].First != 1 {
		t.Fatalf("segments %+v", segments)
	}
	names, err := filepath.Glob(filepath.Join(s.Dir(), "journal", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	flipByte(t, names[0])
	storetest.DamageBlocks(t, filepath.Join(s.Dir(), "history.db"))
	s = open(t, Options{Dir: s.Dir()})
	stop = storetest.Run(t, s)
	defer func() { stop() }()
	got := 0
	var incomplete *history.IncompleteError
	for _, err := range s.Readings(t.Context(), history.Query{Device: "a"}) {
		if err == nil {
			got++
		} else if !errors.As(err, &incomplete) {
			t.Fatal(err)
		}
	}
	if got < sent/2 || got == sent || incomplete == nil || len(s.Condition().Gaps) == 0 || len(s.Alarms.All()) == 0 {
		t.Errorf("%d of %d readings, %v, gaps %+v, alarms %v", got, sent, incomplete, s.Condition().Gaps, s.Alarms.All())
	}
}
