package export_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// TestOneBadDevice has one device of many change a field from number to text.
func TestOneBadDevice(t *testing.T) {
	db := influxtest.Start(t)
	s := exporting(t, store.Options{}, influx.Config{URL: db.URL})
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	var meters []*meter
	for i := range 51 {
		id := fmt.Sprintf("d%02d", i)
		register(t, s, id)
		meters = append(meters, newMeter(t, s, id))
		meters[i].send(20)
	}
	drain(t, s)
	bad := meters[50]
	text := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.String}}}
	bad.Schema(device.AppendControl(nil, text), text)
	for round := range 5 {
		for i := range 20 {
			at := meterEpoch + int64(1000+20*round+i)*1e6
			d := &device.Data{Seq: uint64(100 + 20*round + i), Times: []int64{at, at + 1}, Columns: []device.Column{{ID: 1, Type: device.String, Text: [][]byte{[]byte("a"), []byte("b")}}}}
			message, err := device.AppendData(nil, d, text)
			if err != nil {
				t.Fatal(err)
			}
			if err := bad.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
				t.Fatal(err)
			}
			for _, m := range meters[:50] {
				m.send(1)
			}
		}
		drain(t, s)
	}
	wantMeters(t, db, meters...)
	e := s.Status().Export
	if e.State != "dropping lines" || e.Refused != 200 || !strings.Contains(e.Reason, "already exists as type float") || !strings.Contains(e.Sample, "device=d50") {
		t.Errorf("status %+v", e)
	}
	letters, err := s.Ledger.DeadLetters(0, 1000)
	if err != nil || len(letters) != 100 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	for i, l := range letters {
		if l.Device != "d50" || l.Lines != 2 || l.Seq != uint64(100+i) || l.Received.IsZero() || !strings.Contains(l.Text, "type conflict") || strings.Count(string(l.Message), "\n") != 2 {
			t.Fatalf("letter %+v", l)
		}
	}

	// Sent again too early, they stay; after the cause is mended, they go.
	if r, err := s.ReplayDeadLetters(t.Context(), nil); err != nil || r != (store.Replayed{Refused: 100}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	db.Exec("DROP MEASUREMENT meter")
	if r, err := s.ReplayDeadLetters(t.Context(), []uint64{letters[3].Position}); err != nil || r != (store.Replayed{Accepted: 1}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	if r, err := s.ReplayDeadLetters(t.Context(), nil); err != nil || r != (store.Replayed{Accepted: 99}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	if n := s.Status().DeadLetters; n != 0 {
		t.Errorf("%d letters are left", n)
	}
	if series := db.Exec(`SELECT count(v) FROM meter WHERE device = 'd50'`); number(series[0].Values[0][1]) != 200 {
		t.Errorf("replayed lines arrived as %v", series)
	}
}

// answersLike20 is a proxy that puts the refusals of the real server in the words and under the status of 2.0.
func answersLike20(t *testing.T, db *influxtest.Server) string {
	t.Helper()
	target, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode != http.StatusBadRequest {
			return nil
		}
		var said struct{ Error string }
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			return err
		}
		body, _ := json.Marshal(map[string]string{"code": "internal error", "message": "unexpected error writing points to database: " + said.Error})
		r.StatusCode, r.ContentLength, r.Body = http.StatusInternalServerError, int64(len(body)), io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
		r.Header.Del("X-Influxdb-Error")
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// TestPointsBeyondRetention has a device send readings that are too old for the server, which says so with 500, and before
// that a retention policy that is not there: neither stops the readings of another device.
func TestPointsBeyondRetention(t *testing.T) {
	db := influxtest.Start(t)
	s := exporting(t, store.Options{}, influx.Config{URL: answersLike20(t, db), Bucket: influxtest.Database + "/hour"})
	register(t, s, "old", "new")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	send := func(m *meter, at time.Time) {
		m.seq++
		d := &device.Data{Seq: m.seq, Times: []int64{at.UnixMicro() + int64(m.seq)}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{m.seq}}}}
		message, err := device.AppendData(nil, d, numberSchema)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	late, early := newMeter(t, s, "old"), newMeter(t, s, "new")
	send(early, time.Now())
	eventually(t, "the refusal", func() bool { return s.Status().Export.State == "paused" })
	if e := s.Status().Export; !strings.Contains(e.Reason, "is not there") || !strings.Contains(e.Reason, "retention policy not found: hour") {
		t.Errorf("%q", e.Reason)
	}
	db.Exec("CREATE RETENTION POLICY hour ON " + influxtest.Database + " DURATION 1h REPLICATION 1")
	for range 50 {
		send(late, time.Now().Add(-48*time.Hour))
		send(early, time.Now())
	}
	drain(t, s)
	status := s.Status()
	if e := status.Export; e.Refused != 50 || e.Lines != 51 || status.DeadLetters != 50 || e.State != "dropping lines" || !strings.Contains(e.Reason, "beyond retention policy") {
		t.Errorf("%+v, %d dead letters", e, status.DeadLetters)
	}
	series := db.Exec("SELECT count(v) FROM " + influxtest.Database + ".hour.meter")
	if len(series) != 1 || number(series[0].Values[0][1]) != 51 {
		t.Errorf("arrived: %v", series)
	}
}
