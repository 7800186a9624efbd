package store

import (
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// A journal whose limit is a fraction of what is sent at once loses nothing on its way into the history: acknowledgements wait.
func TestAcknowledgementsWaitForTheHistory(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 4 * testSegment})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	const frames = 3000
	w := newWriter(t, s, 1)
	w.Send(frames)
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

// A history that can't be written holds nobody up: there is an alarm, and the journal's limit drops what the history has not read.
func TestFailedHistoryHoldsNobodyUp(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 4 * testSegment})
	register(t, s, "a")
	if err := s.history.Current().Close(); err != nil {
		t.Fatal(err)
	}
	defer storetest.Run(t, s)()
	w := newWriter(t, s, 1)
	w.Send(100)
	eventually(t, "an alarm", func() bool {
		_, working := s.history.Progress()
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
		return len(gaps) > 0 && gaps[0].Tail == "history"
	})
}
