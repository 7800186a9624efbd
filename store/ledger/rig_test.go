package ledger_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
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

// start opens a store and runs it until the test's end.
func start(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s := open(t, o)
	t.Cleanup(storetest.Run(t, s))
	return s
}

func connect(t testing.TB, s *store.Store, id string, stream uint64) *storetest.Connection {
	return storetest.Connect(t, s.Ledger, id, stream, schema, data)
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
