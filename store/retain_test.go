package store

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// retained is a running store whose tail and retention are driven by the test.
type retained struct {
	*Store
	in  *Ingest
	seq uint64
}

func newRetained(t *testing.T, o Options) *retained {
	t.Helper()
	o.Dir, o.Logger, o.CommitWindow = t.TempDir(), slog.New(slog.DiscardHandler), minCommitWindow
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "text", Type: device.String}}}
	in := s.Ingest("a", 1, func() {})
	in.Schema(device.AppendControl(nil, schema), schema)
	return &retained{Store: s, in: in}
}

// fill sends bytes of frames and waits until they are committed and the history has read them.
func (r *retained) fill(t *testing.T, bytes int) {
	t.Helper()
	schema := r.in.schema
	text := []byte(strings.Repeat("x", device.MaxString))
	for sent := 0; sent < bytes; {
		r.seq++
		d := &device.Data{Seq: r.seq, Times: []int64{int64(r.seq)}, Columns: []device.Column{
			{ID: 1, Type: device.String, Bits: []uint64{0}, Text: [][]byte{text}},
		}}
		message, err := device.AppendData(nil, d, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.in.Frame(t.Context(), message, d, Timing{}); err != nil {
			t.Fatal(err)
		}
		sent += len(message)
	}
	if err := r.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := r.tail.reach(t.Context(), r.journal.Next()); err != nil {
		t.Fatal(err)
	}
}

func TestTrimBehindTheTails(t *testing.T) {
	r := newRetained(t, Options{})
	for range 4 {
		r.fill(t, 20<<20)
		if err := r.history.Load().Flush(true); err != nil {
			t.Fatal(err)
		}
		r.trim()
	}
	if got := r.journal.Bytes(); got > 3*segmentBytes {
		t.Errorf("the journal holds %d bytes that every tail has read", got)
	}
	if got := r.Status(); len(got.Alarms) != 0 || got.Frames != r.seq {
		t.Errorf("status %+v", got)
	}
	if n := len(r.sources.byNumber); n != 1 {
		t.Errorf("%d sources, want the one in use", n)
	}
}

func TestJournalLimit(t *testing.T) {
	now := time.Now()
	for name, o := range map[string]Options{
		"bytes": {JournalMaxBytes: 24 << 20},
		"age":   {JournalMaxAge: time.Hour, Now: func() time.Time { return now }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRetained(t, o)
			r.fill(t, 40<<20)
			now = now.Add(2 * time.Hour)
			before := r.overLimit()
			if before == 0 {
				t.Fatal("nothing is over the limit")
			}
			r.trim()
			if got := r.journal.First(); got < before {
				t.Errorf("the journal begins at %d, want %d", got, before)
			}
			if name == "bytes" && r.journal.Bytes() > o.JournalMaxBytes {
				t.Errorf("the journal holds %d bytes", r.journal.Bytes())
			}
		})
	}
}
