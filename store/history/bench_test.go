package history

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// fleet makes the frames of devices that send one sample of three channels twice a second.
type fleet struct {
	testSchema
	names    []string
	frames   int
	position uint64
	data     device.Data
	message  []byte
}

func newFleet(devices int) *fleet {
	f := &fleet{testSchema: makeSchema(
		device.Channel{ID: 0, Name: "temperature", Type: device.Int, Scale: -2},
		device.Channel{ID: 1, Name: "humidity", Type: device.Int, Scale: -2},
		device.Channel{ID: 2, Name: "co2", Type: device.Float32},
	)}
	for i := range devices {
		f.names = append(f.names, fmt.Sprintf("bench-%04d", i))
	}
	f.data = device.Data{Times: make([]int64, 1), Columns: []device.Column{
		{ID: 0, Type: device.Int, Bits: make([]uint64, 1)},
		{ID: 1, Type: device.Int, Bits: make([]uint64, 1)},
		{ID: 2, Type: device.Float32, Bits: make([]uint64, 1)},
	}}
	return f
}

// next is the next frame, of one device after the other. Its memory is used again.
func (f *fleet) next() *Frame {
	i := f.frames % len(f.names)
	round := f.frames / len(f.names)
	f.frames++
	f.position++
	d := &f.data
	d.Seq = uint64(round + 1)
	d.Times[0] = 1_700_000_000_000_000 + int64(round)*500_000 + int64((f.frames*7919)%3000)
	d.Columns[0].Bits[0] = uint64(2100 + round/40%50)
	d.Columns[1].Bits[0] = uint64(4500 + round%7)
	d.Columns[2].Bits[0] = math.Float64bits(float64(float32(600 + math.Sin(float64(f.frames)))))
	f.message, _ = device.AppendData(f.message[:0], d, f.schema)
	return &Frame{
		Position: f.position, Received: time.UnixMicro(d.Times[0] + 30_000), Device: f.names[i], Schema: f.schema,
		SchemaHash: f.hash, SchemaBytes: f.testSchema.message, Data: f.message,
	}
}

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
