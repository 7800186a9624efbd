package store

import (
	"errors"
	"io"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// A stream has ended, its frames stand in the first two segments, and the export has to read them yet. After a start the first
// segment goes: the second one has to be readable.
func TestSegmentsOfALaggingTailStayReadable(t *testing.T) {
	unreachable := influx.Config{URL: "http://127.0.0.1:1"}
	s := exporting(t, Options{}, unreachable)
	register(t, s, "a")
	stop := storetest.Run(t, s)
	ended, other := newWriter(t, s, 1), newWriter(t, s, 2)
	for range 2 {
		ended.Send(5)
		settle(t, s)
		other.Send(80) // more than a segment
		settle(t, s)
		other.Send(1)
		settle(t, s)
	}
	other.Send(80)
	settle(t, s)
	if err := s.history.Current().Flush(true); err != nil {
		t.Fatal(err)
	}
	segments, bytes := s.journal.Segments(), s.journal.Bytes()
	stop()
	s = exporting(t, Options{Dir: s.Dir(), JournalMaxBytes: bytes - 1}, unreachable)
	defer s.Close()
	s.Ledger.Trim()
	if first := s.journal.First(); first != segments[1].First {
		t.Fatalf("the journal begins at %d, its segments were %+v", first, segments)
	}
	frames := map[uint64]int{} // of each stream
	r := s.Tails.Reader(s.journal.First())
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case tail.KindFrame:
			frames[e.Source.Stream]++
		case tail.KindUnreadable:
			t.Errorf("entry %d: %v", e.Position, e.Err)
		}
	}
	if frames[1] != 5 {
		t.Errorf("frames by stream: %v, want 5 of stream 1", frames)
	}
}
