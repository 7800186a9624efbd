package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
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

// flipBlocks damages all blocks of the history of a stopped store.
func flipBlocks(t *testing.T, dir string) {
	t.Helper()
	file, err := bbolt.Open(filepath.Join(dir, "history.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("blocks"))
		blocks := map[string][]byte{}
		err := b.ForEach(func(k, v []byte) error {
			blocks[string(k)] = bytes.Clone(v)
			return nil
		})
		for k, v := range blocks {
			v[len(v)-1] ^= 4
			err = errors.Join(err, b.Put([]byte(k), v))
		}
		return err
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedHistoryAndJournal damages all that the history has, and a segment of the journal that no start reads otherwise. What is in
// neither is missing, and said to be.
func TestDamagedHistoryAndJournal(t *testing.T) {
	s := open(t, Options{})
	stop := run(t, s)
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
	flipBlocks(t, s.Dir())
	s = open(t, Options{Dir: s.Dir()})
	stop = run(t, s)
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
