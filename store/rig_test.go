package store

import (
	"log/slog"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

const testSegment = 64 << 10

// open opens a store with small segments.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Logger, o.CommitWindow = slog.New(slog.DiscardHandler), minCommitWindow
	o.segmentBytes = testSegment
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writer sends frames of about 1 KiB.
type writer struct {
	*storetest.Writer
	store *Store
	t     *testing.T
}

func newWriter(t *testing.T, s *Store, stream uint64) *writer {
	return &writer{Writer: storetest.NewWriter(t, s.Ledger, stream), store: s, t: t}
}

// fill sends frames in commits that leave several to a segment, whatever the disk and the machine are busy with.
func (w *writer) fill(frames int) {
	w.t.Helper()
	for ; frames > 0; frames -= 20 {
		w.Send(min(frames, 20))
		if err := w.store.Ledger.Checkpoint(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// settle waits until all that was sent is committed, in the books of hub.db, and read by the history.
func settle(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := s.history.Reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
}
