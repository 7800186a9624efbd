package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// While the history stands still, acknowledging stops well before the journal's limit, and the status says why.
func TestStatusSaysThatTheHistoryIsSlow(t *testing.T) {
	const limit = 4 * testSegment
	s := open(t, store.Options{JournalMaxBytes: limit})
	var slow atomic.Bool
	slow.Store(true)
	s.Ledger.HoldHistory(slow.Load)
	defer storetest.Run(t, s)()
	w := storetest.NewWriter(t, s.Ledger, 1)
	frames := uint64(0)
	for s.Condition().Storage.State == "ok" { // one commit each, until they wait
		w.Send(20)
		frames += 20
		time.Sleep(2 * testWindow)
		if frames > 2000 {
			t.Fatal("acknowledging does not wait for the history")
		}
	}
	status := s.Status()
	if status.Storage.State != "slow" || !strings.Contains(status.Storage.Error, "history") || status.Storage.Since.IsZero() {
		t.Errorf("storage %+v", status.Storage)
	}
	if status.Journal.Bytes > limit/2 || status.Frames >= frames {
		t.Errorf("%d bytes of journal, %d frames of %d", status.Journal.Bytes, status.Frames, frames)
	}
	slow.Store(false)
	eventually(t, "all commits", func() bool { return s.Status().Frames == frames })
	if gaps := s.Status().Gaps; len(gaps) > 0 {
		t.Errorf("gaps: %+v", gaps)
	}
}

// The journal begins a segment on its own when it can't mend the one it failed to write to. What comes then has to be
// readable without anything from before.
func TestSegmentsStandAlone(t *testing.T) {
	s := open(t, store.Options{})
	c := s.Ledger.ByHand(t)
	w := storetest.NewWriter(t, s.Ledger, 1)
	w.Send(1)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.GoOnElsewhere(); err != nil {
		t.Fatal(err)
	}
	w.Send(1)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(s.Dir(), "journal", "*.seg"))
	if err != nil || len(segments) != 2 {
		t.Fatalf("segments %q, %v", segments, err)
	}
	for _, name := range []string{segments[0], filepath.Join(s.Dir(), "hub.db"), filepath.Join(s.Dir(), "history.db")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, store.Options{Dir: s.Dir()})
	defer storetest.Run(t, s)()
	var times []int64
	for r, err := range s.Readings(t.Context(), history.Query{Device: "a"}) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, r.Time.UnixMicro())
	}
	if len(times) != 1 || times[0] != 2 {
		t.Errorf("readings at %v, want the one at 2", times)
	}
}

// While the journal can't be written there are no checkpoints. What is exported meanwhile has to be known to hub.db all the same,
// or the journal would keep it, and the disk stay full.
func TestExportIsNotedWithoutTheJournal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Influx: &export.Options{Config: influx.Config{URL: "http://127.0.0.1:1", Bucket: "telemetry"}}})
	c := s.Ledger.ByHand(t)
	storetest.NewWriter(t, s.Ledger, 1).Send(10)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := s.Condition().Journal.Next
	running, stop := context.WithCancel(t.Context())
	defer stop()
	go s.Export.Run(running)
	eventually(t, "the export", func() bool { return s.Export.Reached() == end }) // of a device that is not registered: without the server
	s.Ledger.SaveTails()
	if floor := s.Export.Floor(); floor >= end {
		t.Errorf("the export was noted up to %d beside a journal that can be written", floor)
	}
	s.Ledger.Fail(errors.New("no room"))
	s.Ledger.SaveTails()
	if floor := s.Export.Floor(); floor != end {
		t.Errorf("the journal keeps what follows %d, want %d", floor, end)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir, Influx: &export.Options{Config: influx.Config{URL: "http://127.0.0.1:1", Bucket: "telemetry"}}})
	defer s.Close()
	if reached := s.Export.Reached(); reached != end {
		t.Errorf("after a restart the export goes on at %d, want %d", reached, end)
	}
}

func TestCommitLatency(t *testing.T) {
	h := start(t, store.Options{})
	if _, _, ok := h.Ledger.CommitLatency(); ok {
		t.Error("a latency of nothing")
	}
	c := connect(t, h, "a", 1)
	for seq := range uint64(20) {
		message, d := data(seq + 1)
		if err := c.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
		if err := h.Ledger.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if p50, p99, ok := h.Ledger.CommitLatency(); !ok || p50 <= 0 || p99 < p50 {
		t.Errorf("%v, %v, %v", p50, p99, ok)
	}
}

// Duplicates of a device that is removed before they are committed are not counted, neither now nor when the journal is read again.
func TestDuplicatesOfARemovedDevice(t *testing.T) {
	s := open(t, store.Options{})
	c := s.Ledger.ByHand(t)
	a := connect(t, s, "a", 1)
	a.Send(1)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Send(1)
	s.Ledger.Remove("a")
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: s.Dir()})
	defer s.Close()
	if got := s.Ledger.Books("a"); got != (ledger.Books{}) {
		t.Errorf("books %+v", got)
	}
}
