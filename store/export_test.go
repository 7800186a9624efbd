package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

var numberSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}

// exporting opens a store that exports and retries soon.
func exporting(t testing.TB, o Options, c influx.Config) *Store {
	t.Helper()
	if c.Bucket == "" {
		c.Bucket = influxtest.Database
	}
	o.Influx = &InfluxOptions{Config: c, FlushInterval: 20 * time.Millisecond}
	s := open(t, o)
	s.export.gate.retryMin, s.export.gate.retryMax = 5*time.Millisecond, 50*time.Millisecond
	s.export.gate.retryTry, s.export.gate.retryDenied = 50*time.Millisecond, 50*time.Millisecond
	return s
}

func register(t testing.TB, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.AddDevices([]NewDevice{{ID: id, Kind: "meter", Labels: map[string]string{"site": "north"}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// meter sends numbers, each with a time and a value of its own.
type meter struct {
	*Ingest
	t   *testing.T
	seq uint64
	sum uint64
}

var meterEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func newMeter(t *testing.T, s *Store, id string) *meter {
	in := s.Ingest(id, 1, func() {})
	in.Schema(device.AppendControl(nil, numberSchema), numberSchema)
	return &meter{Ingest: in, t: t}
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
		if err := m.Frame(m.t.Context(), message, d, Timing{}); err != nil {
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
func drain(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the export", func() bool { return s.export.reached() >= s.journal.Next() })
}

// wantMeters compares count and sum of each meter in InfluxDB with what was sent.
func wantMeters(t *testing.T, db *influxtest.Server, meters ...*meter) {
	t.Helper()
	for _, m := range meters {
		id := m.account.device
		series := db.Exec(fmt.Sprintf(`SELECT count(v), sum(v) FROM meter WHERE device = '%s' AND site = 'north'`, id))
		got := "nothing"
		if len(series) == 1 {
			got = fmt.Sprintf("%v and %v", series[0].Values[0][1], number(series[0].Values[0][2]))
		}
		if want := fmt.Sprintf("%d and %d", m.seq, m.sum); got != want {
			t.Errorf("%s: count and sum %s, want %s", id, got, want)
		}
	}
}

func number(v any) uint64 {
	f, _ := v.(json.Number).Float64()
	return uint64(f)
}

// TestExportSurvivesCrashes kills InfluxDB and stops the store in turn; in the end InfluxDB has everything once.
func TestExportSurvivesCrashes(t *testing.T) {
	db := influxtest.Start(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := run(t, s)
	a, b := newMeter(t, s, "a"), newMeter(t, s, "b")
	a.send(1000)
	b.send(10)
	drain(t, s)
	wantMeters(t, db, a, b)

	db.Kill()
	a.send(3000)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	if alarms := fmt.Sprint(s.Status().Alarms); !strings.Contains(alarms, "connection refused") {
		t.Errorf("alarms %s", alarms)
	}
	stop()

	s = exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	stop = run(t, s)
	defer func() { stop() }()
	a.Ingest, b.Ingest = newMeter(t, s, "a").Ingest, newMeter(t, s, "b").Ingest
	b.send(500)
	db.Run()
	drain(t, s)
	wantMeters(t, db, a, b)
	status := s.Status()
	if e := status.Export; e.State != "reachable" || e.Waiting.Entries != 0 || e.Dropped != 0 || len(status.Alarms) != 0 {
		t.Errorf("state %+v, alarms %v", e, status.Alarms)
	}
}

// TestRemovedDevice is not exported any more.
func TestRemovedDevice(t *testing.T) {
	db := influxtest.Prepare(t)
	s := exporting(t, Options{}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := run(t, s)
	defer func() { stop() }()
	a, b := newMeter(t, s, "a"), newMeter(t, s, "b")
	a.send(1)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	a.send(1)
	b.send(10)
	if err := s.RemoveDevice("b"); err != nil {
		t.Fatal(err)
	}
	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	drain(t, s)
	if e := s.Status().Export; e.Removed != 10 || e.Lines != 2 {
		t.Errorf("status %+v", e)
	}
	wantMeters(t, db, a)
}
