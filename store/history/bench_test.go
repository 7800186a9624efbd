package history

import (
	"bytes"
	"context"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// written is how many bytes this process has had written to disks.
func written(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(b, []byte("\nwrite_bytes: "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.ParseInt(string(line), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// BenchmarkWrite feeds 1,000 devices with 2 frames a second; one operation is a minute of that. In the full history as
// much has to be deleted as comes.
func BenchmarkWrite(b *testing.B) {
	b.Run("growing", func(b *testing.B) { benchmarkWrite(b, defaultMaxBytes, false) })
	b.Run("full", func(b *testing.B) { benchmarkWrite(b, 64<<20, true) })
}

func benchmarkWrite(b *testing.B, maxBytes int64, fill bool) {
	o := testOptions(b)
	o.MaxBytes = maxBytes
	now := time.UnixMicro(1_700_000_000_000_000)
	o.Now = func() time.Time { return now }
	h := mustOpen(b, o)
	f := newFleet(1000)
	var raw int64
	minute := func() {
		for range 12 {
			for range 5 * 2 * len(f.names) {
				frame := f.next()
				raw += int64(len(frame.Data))
				if err := h.Add(frame); err != nil {
					b.Fatal(err)
				}
			}
			now = now.Add(5 * time.Second)
			if err := h.Flush(false); err != nil {
				b.Fatal(err)
			}
		}
	}
	for fill && h.Stats().Bytes < maxBytes*99/100 {
		minute()
	}
	raw = 0
	before, frames := written(b), f.frames
	for b.Loop() {
		minute()
	}
	s := h.Stats()
	b.ReportMetric(float64(written(b)-before)/float64(raw), "written/B")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(f.frames-frames), "ns/frame")
	b.ReportMetric(float64(s.Bytes)/float64(s.Blocks), "B/block")
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReadings reads the history of one device among others.
func BenchmarkReadings(b *testing.B) {
	h := mustOpen(b, testOptions(b))
	f := newFleet(10)
	for range 200_000 {
		if err := h.Add(f.next()); err != nil {
			b.Fatal(err)
		}
	}
	rows := 0
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range h.Readings(context.Background(), Query{Device: f.names[3]}) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDecimate sums up 30 days of a device that measures 5 channels once a second, as 600 points.
func BenchmarkDecimate(b *testing.B) {
	h := mustOpen(b, testOptions(b))
	s := makeSchema(
		device.Channel{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Interval: 1000},
		device.Channel{ID: 2, Name: "humidity", Type: device.Int, Scale: -1, Interval: 1000},
		device.Channel{ID: 3, Name: "pressure", Type: device.Float64, Interval: 1000},
		device.Channel{ID: 4, Name: "co2", Type: device.Float32, Interval: 1000},
		device.Channel{ID: 5, Name: "on", Type: device.Bool, Interval: 1000},
	)
	const days, perFrame = 30, 60
	times := make([]int64, perFrame)
	start := time.Unix(1_700_000_000, 0)
	for i := range days * 24 * 3600 / perFrame {
		for j := range times {
			times[j] = start.UnixMicro() + int64(i*perFrame+j)*1_000_000
		}
		f := sampled(uint64(i+1), s, func(ch, j int) any {
			n := float64(i*perFrame + j)
			return []any{2000 + int(100*math.Sin(n/9000)), 450 + j%3, 1013.25 + math.Sin(n/1e5), float64(float32(600 + math.Sin(n))), i / 60 % 2}[ch]
		}, times...)
		if err := h.Add(f); err != nil {
			b.Fatal(err)
		}
	}
	if err := h.Flush(true); err != nil {
		b.Fatal(err)
	}
	q := DecimateQuery{
		Device: "d", From: start, To: start.Add(days * 24 * time.Hour), Step: days * 24 * time.Hour / 600, Expected: time.Second,
	}
	for i := range s.schema.Channels {
		q.Channels = append(q.Channels, &s.schema.Channels[i])
	}
	b.ReportAllocs()
	for b.Loop() {
		d, err := h.Decimate(context.Background(), q)
		if err != nil || len(d.Series[4].Buckets) < 600 || len(d.Gaps) != 0 {
			b.Fatalf("%d gaps: %v", len(d.Gaps), err)
		}
	}
	b.ReportMetric(days*24*3600*5/b.Elapsed().Seconds()*float64(b.N), "readings/s")
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
}
