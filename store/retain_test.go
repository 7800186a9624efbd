package store

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

func TestTrimBehindTheTails(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	for stream := range uint64(20) {
		w := newWriter(t, s, stream+1) // a device that begins a stream at every start
		w.Send(70)
		settle(t, s)
		if err := s.history.Current().Flush(true); err != nil {
			t.Fatal(err)
		}
		s.Ledger.Trim()
		if got := s.journal.Bytes(); got > 4*testSegment {
			t.Fatalf("the journal holds %d bytes that every tail has read", got)
		}
	}
	if got := s.Status(); len(got.Alarms) != 0 || got.Frames != 20*70 {
		t.Errorf("status %+v", got)
	}
	if n := s.sources.Len(); n > 4 {
		t.Errorf("%d sources are remembered, of which the journal holds few", n)
	}
}

// The books are in hub.db only up to the last checkpoint: from there on the journal has them.
func TestBooksHoldTheJournal(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	w := newWriter(t, s, 1)
	settle(t, s)
	for range 5 {
		w.Send(70)
		for deadline := time.Now().Add(20 * time.Second); len(w.Received(1)) == 0 || w.Received(1)[0].Last < w.Seq; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("received %v", w.Received(1))
			}
		}
	}
	if err := s.history.Reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	if err := s.history.Current().Flush(true); err != nil {
		t.Fatal(err)
	}
	if s.Ledger.Trim(); s.journal.First() != 1 {
		t.Errorf("the journal begins at %d, the books of hub.db end at %d", s.journal.First(), s.Ledger.Cursor())
	}
}

// Entries that are nothing to the history don't hold the journal back.
func TestTrimWithoutFrames(t *testing.T) {
	s := open(t, Options{})
	defer storetest.Run(t, s)()
	w := newWriter(t, s, 1)
	for range 400 {
		if err := w.Reject(t.Context(), 0, device.RejectMalformed, "why", make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
		if w.Seq++; w.Seq%70 == 0 {
			settle(t, s)
		}
	}
	settle(t, s)
	if err := s.history.Current().Flush(true); err != nil {
		t.Fatal(err)
	}
	s.Ledger.Trim()
	if got := s.journal.Bytes(); got > 3*testSegment {
		t.Errorf("the journal holds %d bytes that every tail has read", got)
	}
}

func TestJournalLimit(t *testing.T) {
	start := time.Now()
	var elapsed atomic.Int64
	for name, o := range map[string]Options{
		"bytes": {JournalMaxBytes: 3 * testSegment},
		"age":   {JournalMaxAge: time.Hour, Now: func() time.Time { return start.Add(time.Duration(elapsed.Load())) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, o)
			defer storetest.Run(t, s)()
			w := newWriter(t, s, 1)
			for range 10 {
				w.Send(70)
				settle(t, s)
			}
			elapsed.Add(int64(2 * time.Hour))
			s.Ledger.Trim()
			segments := s.journal.Segments()
			if name == "bytes" && s.journal.Bytes() > o.JournalMaxBytes || name == "age" && len(segments) > 1 {
				t.Errorf("the journal holds %d bytes in %d segments", s.journal.Bytes(), len(segments))
			}
			// Everything had been read, and what was only in memory was written before its journal went.
			if s.journal.First() > s.history.Current().Cursor() || len(s.Status().Alarms) != 0 {
				t.Errorf("dropped up to %d, the history is at %d: %+v", s.journal.First(), s.history.Current().Cursor(), s.Status().Alarms)
			}
		})
	}
}
