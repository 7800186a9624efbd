package export_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// The bar is 0.8 of the bare loop at 10,000,000 readings:
//
//	go test ./store/export -run '^$' -bench Drain -benchtime 1x -drain-readings 10000000
var drainReadings = flag.Int("drain-readings", 500_000, "how many readings BenchmarkDrain exports")

// BenchmarkDrain compares two ways for the same lines into a real InfluxDB: a bare loop that posts batches encoded before,
// with the same client, and the export of a backlog, which reads the journal, decodes, encodes and keeps books.
func BenchmarkDrain(b *testing.B) {
	const samples, channels, devices = 60, 8, 20
	db := influxtest.Start(b)
	db.Exec("CREATE DATABASE bare")
	for b.Loop() {
		dir := b.TempDir()
		s := exporting(b, store.Options{Dir: dir, JournalMaxBytes: math.MaxInt64}, influx.Config{URL: "http://127.0.0.1:1"})
		stop := storetest.Run(b, s)
		fillBacklog(b, s, *drainReadings, devices, samples, channels)
		stop()

		c := influx.Config{URL: db.URL, Bucket: "bare"}
		s = exporting(b, store.Options{Dir: dir, JournalMaxBytes: math.MaxInt64}, influx.Config{URL: db.URL})
		bare := bareLoop(b, s, c)

		began := time.Now()
		stop = storetest.Run(b, s)
		drain(b, s)
		drained := time.Since(began)
		stop()
		if n := db.Exec(`SELECT count(c0) FROM meter`); number(n[0].Values[0][1]) != uint64(*drainReadings/channels/samples*samples) {
			b.Errorf("arrived: %v", n)
		}
		perSecond := func(d time.Duration) float64 { return float64(*drainReadings) / d.Seconds() }
		b.ReportMetric(perSecond(bare), "bare-readings/s")
		b.ReportMetric(perSecond(drained), "drain-readings/s")
		b.ReportMetric(bare.Seconds()/drained.Seconds(), "ratio")
		db.Exec("DROP DATABASE bare")
		db.Exec("DROP DATABASE " + influxtest.Database)
	}
}

func fillBacklog(b *testing.B, s *store.Store, readings, devices, samples, channels int) {
	schema := &device.Schema{}
	d := &device.Data{Times: make([]int64, samples)}
	for c := range channels {
		schema.Channels = append(schema.Channels, device.Channel{ID: uint16(c), Name: fmt.Sprintf("c%d", c), Type: device.Int, Scale: -2})
		d.Columns = append(d.Columns, device.Column{ID: uint16(c), Type: device.Int, Bits: make([]uint64, samples)})
	}
	var ingests []*ledger.Ingest
	for i := range devices {
		id := fmt.Sprintf("d%02d", i)
		register(b, s, id)
		in := s.Ledger.Ingest(id, 1, func() {})
		in.Schema(device.AppendControl(nil, schema), schema)
		ingests = append(ingests, in)
	}
	var message []byte
	for n := range readings / channels / samples {
		d.Seq = uint64(n/devices) + 1
		for i := range samples {
			d.Times[i] = meterEpoch + int64(n/devices*samples+i)*1e6
			for c := range channels {
				d.Columns[c].Bits[i] = uint64(2000 + n%500 + 7*i + 100*c)
			}
		}
		var err error
		if message, err = device.AppendData(message[:0], d, schema); err != nil {
			b.Fatal(err)
		}
		if err := ingests[n%devices].Frame(b.Context(), message, d, tail.Timing{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Ledger.Checkpoint(); err != nil {
		b.Fatal(err)
	}
}

// bareLoop encodes the backlog into the batches the export will send, and returns how long it takes to post them.
func bareLoop(b *testing.B, s *store.Store, c influx.Config) time.Duration {
	w, err := influx.NewWriter(c)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	bodies := s.Export.Bodies(b)
	began := time.Now()
	for _, body := range bodies {
		if err := w.Write(b.Context(), body); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// BenchmarkNewestWhileDraining measures how old a frame is when a query finds it in a real InfluxDB, while a backlog of
// drain-readings, but at least 1,000,000, drains behind. The promise is 5 s:
//
//	go test ./store/export -run '^$' -bench NewestWhileDraining -benchtime 1x -drain-readings 10000000
func BenchmarkNewestWhileDraining(b *testing.B) {
	const samples, channels, devices = 60, 8, 20
	readings := max(*drainReadings, 1_000_000)
	db := influxtest.Start(b)
	for b.Loop() {
		dir := b.TempDir()
		s := exporting(b, store.Options{Dir: dir, JournalMaxBytes: math.MaxInt64}, influx.Config{URL: "http://127.0.0.1:1"})
		stop := storetest.Run(b, s)
		fillBacklog(b, s, readings, devices, samples, channels)
		register(b, s, "live")
		stop()

		s = exporting(b, store.Options{Dir: dir, JournalMaxBytes: math.MaxInt64}, influx.Config{URL: db.URL})
		s.Export.FlushEvery(time.Second)
		stop = storetest.Run(b, s)
		ages := watchNewest(b, s, db)
		drain(b, s)
		stop()
		if n := db.Exec(`SELECT count(c0) FROM meter`); number(n[0].Values[0][1]) != uint64(readings/channels/samples*samples) {
			b.Errorf("arrived: %v", n)
		}
		b.ReportMetric(float64(len(ages)), "frames")
		for name, at := range map[string]int{"p50-ms": len(ages) / 2, "p99-ms": len(ages) * 99 / 100, "max-ms": len(ages) - 1} {
			b.ReportMetric(float64(ages[at].Milliseconds()), name)
		}
		db.Exec("DROP DATABASE " + influxtest.Database)
		db.Exec("CREATE DATABASE " + influxtest.Database)
	}
}

// watchNewest sends a frame every 50 ms as long as there is a backlog, and returns how old each was when a query first found
// it, sorted.
func watchNewest(b *testing.B, s *store.Store, db *influxtest.Server) []time.Duration {
	in := s.Ledger.Ingest("live", 1, func() {})
	in.Schema(device.AppendControl(nil, numberSchema), numberSchema)
	var ages []time.Duration
	sent, found := 0, int64(0)
	find := func() {
		for _, series := range db.Exec(fmt.Sprintf(`SELECT v FROM meter WHERE device = 'live' AND time > %d`, found)) {
			for _, row := range series.Values {
				at, _ := row[0].(json.Number).Int64()
				ages, found = append(ages, time.Since(time.Unix(0, at))), at
			}
		}
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for ; ; <-ticker.C {
		if !s.Export.Behind() && sent > 0 {
			break
		}
		sent++
		d := &device.Data{Seq: uint64(sent), Times: []int64{time.Now().UnixMicro()}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{uint64(sent)}}}}
		message, err := device.AppendData(nil, d, numberSchema)
		if err != nil {
			b.Fatal(err)
		}
		if err := in.Frame(b.Context(), message, d, tail.Timing{}); err != nil {
			b.Fatal(err)
		}
		find()
	}
	eventually(b, "the newest frames", func() bool { find(); return len(ages) >= sent })
	slices.Sort(ages)
	return ages
}
