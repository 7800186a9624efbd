package history

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"testing"
	"time"
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
