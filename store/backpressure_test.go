package store

import (
	"testing"

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
