package store

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// A journal whose limit is a fraction of what is sent at once loses nothing on its way into the history: acknowledgements wait.
func TestAcknowledgementsWaitForTheHistory(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 4 * testSegment})
	register(t, s, "a")
	stop := run(t, s)
	defer func() { stop() }()
	const frames = 3000
	w := newWriter(t, s, 1)
	w.send(frames)
	eventually(t, "all commits", func() bool { return s.Status().Frames == frames })
	n := 0
	for _, err := range s.Readings(t.Context(), history.Query{Device: "a"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != frames {
		t.Errorf("%d readings of %d", n, frames)
	}
	if gaps := s.Status().Gaps; len(gaps) > 0 {
		t.Errorf("gaps: %+v", gaps)
	}
}

// While the history stands still, acknowledging stops well before the journal's limit, and the status says why.
func TestStatusSaysThatTheHistoryIsSlow(t *testing.T) {
	const limit = 4 * testSegment
	s := open(t, Options{JournalMaxBytes: limit})
	register(t, s, "a")
	var slow atomic.Bool
	slow.Store(true)
	s.historyRead = func() (uint64, bool) {
		if slow.Load() {
			return 1, true
		}
		return s.tail.progress()
	}
	defer run(t, s)()
	w := newWriter(t, s, 1)
	frames := uint64(0)
	for s.Condition().Storage.State == "ok" { // one commit each, until they wait
		w.send(20)
		frames += 20
		time.Sleep(2 * minCommitWindow)
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

// A history that can't be written holds nobody up: there is an alarm, and the journal's limit drops what the history has not read.
func TestFailedHistoryHoldsNobodyUp(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 4 * testSegment})
	register(t, s, "a")
	if err := s.history.Load().Close(); err != nil {
		t.Fatal(err)
	}
	defer run(t, s)()
	w := newWriter(t, s, 1)
	w.send(100)
	eventually(t, "an alarm", func() bool {
		_, working := s.tail.progress()
		return !working && len(s.Status().Alarms) > 0
	})
	w.fill(1000)
	status := s.Status()
	if status.Frames != 1100 || status.Storage.State != "ok" {
		t.Errorf("%d frames, storage %+v", status.Frames, status.Storage)
	}
	if ranges := w.Received(device.MaxRanges); len(ranges) != 1 || ranges[0] != (device.Range{First: 1, Last: 1100}) {
		t.Errorf("received %v", ranges)
	}
	eventually(t, "the journal within its limit", func() bool { return s.Status().Journal.Bytes <= 5*testSegment })
	eventually(t, "a gap", func() bool {
		gaps := s.Status().Gaps
		return len(gaps) > 0 && gaps[0].Tail == historyName
	})
}

func TestHeldBack(t *testing.T) {
	var h heldBack
	now := time.Now()
	if since := h.since(now); !since.IsZero() {
		t.Errorf("held back since %v without a wait", since)
	}
	h.note(now)
	h.note(now.Add(heldBackFor / 2))
	if since := h.since(now.Add(heldBackFor)); !since.Equal(now) {
		t.Errorf("held back since %v, began %v", since, now)
	}
	later := now.Add(2 * heldBackFor)
	if since := h.since(later); !since.IsZero() {
		t.Errorf("still held back since %v", since)
	}
	h.note(later)
	if since := h.since(later); !since.Equal(later) {
		t.Errorf("held back since %v, began again %v", since, later)
	}
}
