package store

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

const testSegment = 64 << 10

var textSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "text", Type: device.String}}}

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

func run(t testing.TB, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// writer sends frames of about 1 KiB.
type writer struct {
	*ledger.Ingest
	store *Store
	t     *testing.T
	seq   uint64
}

func newWriter(t *testing.T, s *Store, stream uint64) *writer {
	in := s.Ledger.Ingest("a", stream, func() {})
	in.Schema(device.AppendControl(nil, textSchema), textSchema)
	return &writer{Ingest: in, store: s, t: t}
}

func (w *writer) send(frames int) {
	w.t.Helper()
	text := []byte(strings.Repeat("x", device.MaxString))
	for range frames {
		w.seq++
		d := &device.Data{Seq: w.seq, Times: []int64{int64(w.seq)}, Columns: []device.Column{
			{ID: 1, Type: device.String, Text: [][]byte{text}},
		}}
		message, err := device.AppendData(nil, d, textSchema)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.Frame(w.t.Context(), message, d, tail.Timing{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// fill sends frames in commits that leave several to a segment, whatever the disk and the machine are busy with.
func (w *writer) fill(frames int) {
	w.t.Helper()
	for ; frames > 0; frames -= 20 {
		w.send(min(frames, 20))
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
