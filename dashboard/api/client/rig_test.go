package client

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveTest serves h on the socket in dir until the test ends.
func serveTest(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	ln, err := socket.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- socket.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func dialTest(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

// openTest opens a store, runs it, and returns it with a client that reaches it through the socket.
func openTest(t *testing.T) (*store.Store, *Client) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, CommitWindow: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storetest.Run(t, st))
	return st, clientOf(t, st)
}

// clientOf returns a client that reaches the API of a store through the socket.
func clientOf(t *testing.T, st *store.Store) *Client {
	t.Helper()
	a := api.New(api.Config{Store: st, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(a.End)
	mux := http.NewServeMux()
	a.Register(mux, api.OnSocket)
	serveTest(t, st.Dir(), mux)
	return dialTest(t, st.Dir())
}

// wantError checks that err is what the handler answered with this status, text and hint.
func wantError(t *testing.T, err error, status int, text, hint string) {
	t.Helper()
	e, ok := errors.AsType[*api.Problem](err)
	if !ok || e.Status != status || !strings.Contains(e.Detail, text) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got %#v, want status %d, text %q, hint %q", err, status, text, hint)
	}
}

// climate is what the devices of these tests measure.
var climate = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"}, {ID: 3, Name: "occupied", Type: device.Bool}}}

func at(µs int64) time.Time { return time.UnixMicro(1423072260_000000 + µs) }

// stream sends rows readings of temperature to the store as the device, a row a second from the first on, and waits until
// they are committed. Each call is a stream of its own.
func stream(t *testing.T, st *store.Store, id string, from, rows int) {
	t.Helper()
	schema := climate
	announced := device.AppendControl(nil, schema)
	hash := device.HashSchema(announced)
	st.Devices.Note(id, &device.Hello{Stream: uint64(from + 1), SchemaHash: hash})
	in := st.Ledger.Ingest(id, uint64(from+1), func() {})
	defer in.Close()
	in.Schema(announced, schema)
	const perFrame = 1000
	seq := uint64(0)
	for first := 0; first < rows; first += perFrame {
		seq++
		n := min(perFrame, rows-first)
		d := &device.Data{Seq: seq, Columns: []device.Column{{ID: 1, Type: device.Int}}}
		for i := from + first; i < from+first+n; i++ {
			d.Times = append(d.Times, at(int64(i)*1_000_000).UnixMicro())
			d.Columns[0].Bits = append(d.Columns[0].Bits, uint64(i))
		}
		message, err := device.AppendData(nil, d, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the commit", func() bool { return in.Received(device.MaxRanges).Count() == seq })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
		time.Sleep(time.Millisecond)
	}
}
