package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestMissingJournal has a segment vanish that the history has not read: the gap it leaves has its time, also after the next
// start, which does not come across it again.
func TestMissingJournal(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var clock atomic.Int64
	o := Options{Dir: t.TempDir(), Now: func() time.Time { return noon.Add(time.Duration(clock.Load()) * time.Minute) }}
	s := open(t, o)
	stop := storetest.Run(t, s)
	w := newWriter(t, s, 1)
	for range 6 {
		w.Send(70) // more than a segment
		settle(t, s)
		clock.Add(1)
	}
	segments := s.journal.Segments()
	stop()
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	files, err := filepath.Glob(filepath.Join(o.Dir, "journal", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{files[2], filepath.Join(o.Dir, "history.db")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s = open(t, o)
		stop = storetest.Run(t, s)
		settle(t, s)
		gaps := s.Status().Gaps
		if len(gaps) != 1 || gaps[0].First != segments[2].First || !gaps[0].From.Equal(segments[1].Newest) || !gaps[0].To.Equal(segments[3].Oldest) {
			t.Fatalf("gaps %+v, the lost segment is %+v", gaps, segments[2])
		}
		from, to := gaps[0].From, gaps[0].To
		silent := s.Silences("a", &history.Decimated{
			Gaps: []history.Span{{From: from.Add(-time.Hour), To: from}, {From: from, To: to}}, MinGap: 3 * time.Second,
		})
		if len(silent) != 2 || silent[0].Cause != outages.CauseUnknown || silent[1].Cause != outages.CauseDropped || !strings.Contains(silent[1].Text, gaps[0].Cause) {
			t.Errorf("silences %+v", silent)
		}
		stop()
	}
}
