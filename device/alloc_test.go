package device

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"testing"
)

// sizedFrame is a frame of so many samples of the climate channels, one a second, with a jitter of the clock.
func sizedFrame(samples int) *Data {
	d := &Data{Seq: 100_000, Columns: []Column{{ID: 0, Type: Int}, {ID: 1, Type: Int}, {ID: 2, Type: Int}}}
	values := [3]int64{2134, 452, 612}
	steps := [3][]int64{{0, 1, 0, -1, 2, 0}, {0, 0, -1, 1, 0, 0, 1}, {3, -2, 0, 7, -5}}
	for i := range samples {
		jitter := []int64{0, 3_000, -1_000, 2_000, 0}[i%5]
		d.Times = append(d.Times, day+int64(i)*1_000_000+jitter)
		for c := range values {
			values[c] += steps[c][i%len(steps[c])]
			d.Columns[c].Bits = append(d.Columns[c].Bits, uint64(values[c]))
		}
	}
	return d
}

func mustAppendData(t testing.TB, d *Data, s *Schema) []byte {
	t.Helper()
	b, err := AppendData(nil, d, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDataAllocatesNothing: neither decoding into a used value nor encoding into a used buffer, whatever the types.
func TestDataAllocatesNothing(t *testing.T) {
	vectors := readVectors(t)
	for key, want := range vectorFrames() {
		schema := schemaOf(t, vectors, vectors[key])
		message := mustAppendData(t, want, schema)
		var d Data
		if n := testing.AllocsPerRun(100, func() {
			if err := ParseData(message, schema, &d); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations to decode it", key, n)
		}
		buffer := make([]byte, 0, MaxMessage)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := AppendData(buffer, want, schema); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations to encode it", key, n)
		}
	}
}

func TestAckAllocatesNothing(t *testing.T) {
	buffer := make([]byte, 0, MaxMessage)
	ranges := Ranges{{1, 23}, {25, 255}, {65_537, MaxSeq}}
	if n := testing.AllocsPerRun(100, func() { AppendAck(buffer, ranges) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHostileControlIsBounded: the message with the most to allocate for its size.
func TestHostileControlIsBounded(t *testing.T) {
	// Commands in which every byte is one empty argument.
	args := append(appendHead(nil, cborArray, 2*MaxRanges), bytes.Repeat([]byte{cborMap}, 2*MaxRanges)...)
	command := append([]byte{cborMap | 1, 2}, args...)
	commands := (MaxMessage - 16) / len(command)
	message := append([]byte{byte(TypeSchema), cborMap | 2, 1, cborArray, 2}, appendHead(nil, cborArray, uint64(commands))...)
	message = append(message, bytes.Repeat(command, commands)...)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ParseControl(message); err == nil {
		t.Error("it is taken")
	}
	runtime.ReadMemStats(&after)
	const most = 4 << 20
	if n := after.TotalAlloc - before.TotalAlloc; n > most {
		t.Errorf("%d bytes allocated for a message of %d", n, len(message))
	}
}

func BenchmarkParseData(b *testing.B) {
	parse := func(name string, frame *Data, schema *Schema) {
		b.Run(name, func(b *testing.B) {
			message := mustAppendData(b, frame, schema)
			var d Data
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if err := ParseData(message, schema, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, samples := range []int{1, 10, 60} {
		parse(fmt.Sprintf("%dx3", samples), sizedFrame(samples), climate)
	}
	wide, floats := &Schema{}, &Data{Seq: 100_000, Times: []int64{day}}
	for id := range uint16(8) {
		wide.Channels = append(wide.Channels, Channel{ID: id, Name: fmt.Sprint(id), Type: Float32})
		floats.Columns = append(floats.Columns, Column{ID: id, Type: Float32, Bits: []uint64{math.Float64bits(21.5)}})
	}
	parse("1x8", floats, wide)
}

func BenchmarkAppendData(b *testing.B) {
	for _, samples := range []int{1, 10, 60} {
		b.Run(fmt.Sprintf("%dx3", samples), func(b *testing.B) {
			d := sizedFrame(samples)
			buffer := mustAppendData(b, d, climate)
			b.ReportAllocs()
			b.SetBytes(int64(len(buffer)))
			for b.Loop() {
				if _, err := AppendData(buffer[:0], d, climate); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendAck(b *testing.B) {
	ranges := Ranges{{1, 123_456}}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendAck(buffer[:0], ranges)
	}
}

func BenchmarkParseControl(b *testing.B) {
	for _, name := range []string{"hello", "lost", "result", "schema-climate"} {
		b.Run(name, func(b *testing.B) {
			message := readVectors(b)[name].message
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseControl(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
