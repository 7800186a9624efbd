package export_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var numberSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}

// exporting opens a store that exports and retries soon.
func exporting(t testing.TB, o store.Options, c influx.Config) *store.Store {
	t.Helper()
	c.Bucket = cmp.Or(c.Bucket, influxtest.Database)
	o.Influx = &export.Options{Config: c, FlushInterval: 20 * time.Millisecond}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.CommitWindow = 5 * time.Millisecond
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Export.RetrySoon()
	return s
}

// end is the position of the journal's next entry.
func end(s *store.Store) uint64 { return s.Condition().Journal.Next }

func register(t testing.TB, s *store.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.Devices.Add([]devices.NewDevice{{ID: id, Kind: "meter", Labels: map[string]string{"site": "north"}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// meter sends numbers, each with a time and a value of its own.
type meter struct {
	*ledger.Ingest
	t   *testing.T
	id  string
	seq uint64
	sum uint64
}

var meterEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func newMeter(t *testing.T, s *store.Store, id string) *meter {
	in := s.Ledger.Ingest(id, 1, func() {})
	in.Schema(device.AppendControl(nil, numberSchema), numberSchema)
	return &meter{Ingest: in, t: t, id: id}
}

func (m *meter) send(frames int) {
	m.t.Helper()
	for range frames {
		m.seq++
		m.sum += m.seq
		d := &device.Data{Seq: m.seq, Times: []int64{meterEpoch + int64(m.seq)*1e6}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{m.seq}}}}
		message, err := device.AppendData(nil, d, numberSchema)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := m.Frame(m.t.Context(), message, d, tail.Timing{}); err != nil {
			m.t.Fatal(err)
		}
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

// drain waits until everything that was handed in is exported.
func drain(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the export", func() bool { return s.Export.Reached() >= end(s) })
}

// wantMeters compares count and sum of each meter in InfluxDB with what was sent.
func wantMeters(t *testing.T, db *influxtest.Server, meters ...*meter) {
	t.Helper()
	for _, m := range meters {
		series := db.Exec(fmt.Sprintf(`SELECT count(v), sum(v) FROM meter WHERE device = '%s' AND site = 'north'`, m.id))
		got := "nothing"
		if len(series) == 1 {
			got = fmt.Sprintf("%v and %v", series[0].Values[0][1], number(series[0].Values[0][2]))
		}
		if want := fmt.Sprintf("%d and %d", m.seq, m.sum); got != want {
			t.Errorf("%s: count and sum %s, want %s", m.id, got, want)
		}
	}
}

func number(v any) uint64 {
	f, _ := v.(json.Number).Float64()
	return uint64(f)
}
