package store_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("STORE_TEST_ROLE"); role != "" {
		roles[role]()
		return
	}
	goleak.VerifyTestMain(m)
}

// roles are what a child process, which is this test binary again, can be told to do.
var roles = map[string]func(){}

var (
	schema = &device.Schema{Channels: []device.Channel{
		{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
		{ID: 2, Name: "co2", Type: device.Float64, Unit: "[ppm]"},
	}}
	schemaMessage = device.AppendControl(nil, schema)
	epoch         = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// hub is a running store.
type hub struct {
	*store.Store
	t    testing.TB
	stop func() error
}

func start(t testing.TB, o store.Options) *hub {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.CommitWindow == 0 {
		o.CommitWindow = 5 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return &hub{Store: s, t: t, stop: run(t, s)}
}

// run runs s until the returned function, or the test's end, stops and closes it.
func run(t testing.TB, s *store.Store) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var stopped atomic.Bool
	stop = func() error {
		if stopped.Swap(true) {
			return nil
		}
		cancel()
		err := <-done
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func connect(t testing.TB, s *store.Store, id string, stream uint64) *storetest.Connection {
	return storetest.Connect(t, s.Ledger, id, stream, schema, data)
}

// data is the DATA message with number seq, and its decoded form; its values follow from seq.
func data(seq uint64) ([]byte, *device.Data) {
	d := &device.Data{
		Seq: seq, Times: []int64{epoch.UnixMicro() + int64(seq)*1e6},
		Columns: []device.Column{
			{ID: 1, Type: device.Int, Bits: []uint64{2000 + seq}},
			{ID: 2, Type: device.Float64, Bits: []uint64{seq}},
		},
	}
	message, err := device.AppendData(nil, d, schema)
	if err != nil {
		panic(err)
	}
	return message, d
}

func numbers(first, last uint64) (seqs []uint64) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// readings returns what the store has of a device.
func readings(t testing.TB, s *store.Store, id string) (list []history.Reading) {
	t.Helper()
	for r, err := range s.Readings(t.Context(), history.Query{Device: id}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// wantFrames checks that the readings of exactly the frames seqs are in the store, in this order, with their values.
func wantFrames(t testing.TB, s *store.Store, id string, seqs []uint64) {
	t.Helper()
	got := readings(t, s, id)
	if len(got) != 2*len(seqs) {
		t.Fatalf("%d readings of %s, want %d", len(got), id, 2*len(seqs))
	}
	for i, seq := range seqs {
		a, b := got[2*i], got[2*i+1]
		at := epoch.Add(time.Duration(seq) * time.Second)
		if !a.Time.Equal(at) || !b.Time.Equal(at) || a.Value.Bits != 2000+seq || b.Value.Bits != seq {
			t.Fatalf("frame %d came back as %v %v, %v %v", seq, a.Time, a.Value, b.Time, b.Value)
		}
	}
}

// copyDir copies a data directory as a power cut would leave it: whatever is in the files at this moment.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func path(parts ...string) string { return filepath.Join(parts...) }
