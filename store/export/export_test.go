package export_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestExportSurvivesCrashes kills InfluxDB and stops the store in turn; in the end InfluxDB has everything once.
func TestExportSurvivesCrashes(t *testing.T) {
	db := influxtest.Start(t)
	dir := t.TempDir()
	s := exporting(t, store.Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := storetest.Run(t, s)
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

	s = exporting(t, store.Options{Dir: dir}, influx.Config{URL: db.URL})
	stop = storetest.Run(t, s)
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
	s := exporting(t, store.Options{}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := storetest.Run(t, s)
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
