package ledger_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSegment = 64 << 10
	testWindow  = 5 * time.Millisecond
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	schema        = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"}}}
	schemaMessage = device.AppendControl(nil, schema)
	textSchema    = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "text", Type: device.String}}}
)

// open opens a store with small segments, which does not run.
func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Logger, o.CommitWindow = slog.New(slog.DiscardHandler), testWindow
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Ledger.SetSegmentBytes(testSegment)
	return s
}

// run runs s until the returned function stops and closes it.
func run(t testing.TB, s *store.Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// start opens a store and runs it until the test's end.
func start(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s := open(t, o)
	t.Cleanup(run(t, s))
	return s
}

// connection is a device's connection to a store, without a network.
type connection struct {
	*ledger.Ingest
	t       testing.TB
	news    chan struct{}
	settled ledger.Settled
}

func connect(t testing.TB, s *store.Store, id string, stream uint64) *connection {
	c := &connection{t: t, news: make(chan struct{}, 1)}
	c.Ingest = s.Ledger.Ingest(id, stream, func() {
		select {
		case c.news <- struct{}{}:
		default:
		}
	})
	c.Schema(schemaMessage, schema)
	return c
}

// data is the DATA message with number seq, and its decoded form.
func data(seq uint64) ([]byte, *device.Data) {
	d := &device.Data{
		Seq: seq, Times: []int64{epoch.UnixMicro() + int64(seq)*1e6},
		Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{2000 + seq}}},
	}
	message, err := device.AppendData(nil, d, schema)
	if err != nil {
		panic(err)
	}
	return message, d
}

func (c *connection) send(seqs ...uint64) {
	c.t.Helper()
	for _, seq := range seqs {
		message, d := data(seq)
		if err := c.Frame(c.t.Context(), message, d, tail.Timing{}); err != nil {
			c.t.Fatalf("frame %d: %v", seq, err)
		}
	}
}

// await waits until seqs are settled on this connection.
func (c *connection) await(seqs ...uint64) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	var got device.SeqSet
	for {
		c.Take(&c.settled)
		for _, r := range c.settled.Acks {
			got.AddRange(r.First, r.Last)
		}
		for _, r := range c.settled.Rejects {
			got.Add(r.Seq)
		}
		missing := 0
		for _, seq := range seqs {
			if !got.Contains(seq) {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-c.news:
		case <-deadline:
			c.t.Fatalf("%d of %d frames were not settled; got %v", missing, len(seqs), got.Ranges())
		}
	}
}

// writer sends frames of about 1 KiB of the device a.
type writer struct {
	*ledger.Ingest
	t   testing.TB
	seq uint64
}

func newWriter(t testing.TB, s *store.Store, stream uint64) *writer {
	in := s.Ledger.Ingest("a", stream, func() {})
	in.Schema(device.AppendControl(nil, textSchema), textSchema)
	return &writer{Ingest: in, t: t}
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

// settle waits until all that was sent is committed, in the books of hub.db, and read by the history.
func settle(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Readings(t.Context(), history.Query{Device: "nobody"}) {
		t.Fatal(err)
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// copyDir copies a data directory as a power cut would leave it.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
