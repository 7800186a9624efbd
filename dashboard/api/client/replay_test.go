package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// TestReplay sends again what a server refused at first.
func TestReplay(t *testing.T) {
	var mended atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if mended.Load() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"partial write: field type conflict dropped=1"}`)
	}))
	defer server.Close()
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, Influx: &export.Options{Config: influx.Config{URL: server.URL, Bucket: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer storetest.Run(t, st)()
	c := clientOf(t, st)

	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}
	if _, err := st.Devices.Add([]devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	in := st.Ledger.Ingest("a", 1, func() {})
	in.Schema(device.AppendControl(nil, schema), schema)
	d := &device.Data{Seq: 7, Times: []int64{1}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{1}}}}
	message, err := device.AppendData(nil, d, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
		t.Fatal(err)
	}
	var letters []api.DeadLetter
	waitFor(t, "the dead letter", func() bool {
		letters = allLetters(t, c)
		return len(letters) > 0
	})
	if len(letters) != 1 || letters[0].Lines != 1 || letters[0].Seq != 7 || string(letters[0].Message) != "telemetry,device=a v=1 1000\n" {
		t.Fatalf("letters %+v", letters)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Export == nil || s.Export.State != "dropping lines" || s.Export.Refused != 1 {
		t.Errorf("status %+v, %v", s.Export, err)
	}
	if r, err := c.ReplayDeadLetters(t.Context(), nil); err != nil || r != (api.Replayed{Refused: 1}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	mended.Store(true)
	if r, err := c.ReplayDeadLetters(t.Context(), []uint64{letters[0].Position}); err != nil || r != (api.Replayed{Replayed: 1}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	if letters := allLetters(t, c); len(letters) != 0 {
		t.Errorf("left: %+v", letters)
	}
	_, err = c.ReplayDeadLetters(t.Context(), []uint64{})
	wantError(t, err, http.StatusBadRequest, "which letters", "")
}

func TestReplayWithoutExport(t *testing.T) {
	_, c := openTest(t)
	_, err := c.ReplayDeadLetters(t.Context(), nil)
	wantError(t, err, http.StatusConflict, "no InfluxDB is configured", "--influx-url")
}
