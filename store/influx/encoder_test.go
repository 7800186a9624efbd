package influx_test

import (
	"math"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// frame is a frame of n samples with a channel of every type, and its series.
func frame(n int) (*influx.Series, *device.Data) {
	schema := &device.Schema{Channels: []device.Channel{
		{ID: 1, Name: "running", Type: device.Bool},
		{ID: 2, Name: "temperature", Type: device.Int, Scale: -2},
		{ID: 5, Name: "unused", Type: device.Int},
		{ID: 7, Name: "flow rate", Type: device.Float32},
		{ID: 9, Name: "energy", Type: device.Float64},
		{ID: 300, Name: "state", Type: device.String},
	}}
	d := &device.Data{Seq: 1}
	columns := make([]device.Column, 5)
	for i := range n {
		d.Times = append(d.Times, epoch.UnixMicro()+int64(i)*1e6)
		columns[0].Bits = append(columns[0].Bits, uint64(i&1))
		columns[1].Bits = append(columns[1].Bits, uint64(2000+i))
		columns[2].Bits = append(columns[2].Bits, math.Float64bits(float64(float32(float64(i)+0.18))))
		columns[3].Bits = append(columns[3].Bits, math.Float64bits(float64(i)/3))
		columns[4].Text = append(columns[4].Text, []byte("pumping \"slowly\""))
	}
	for i, channel := range []int{0, 1, 3, 4, 5} {
		columns[i].ID, columns[i].Type = schema.Channels[channel].ID, schema.Channels[channel].Type
	}
	d.Columns = columns
	return influx.NewSeries("pump", "pump-7", map[string]string{"site": "north", "a b": "c,d"}, schema), d
}

func TestLines(t *testing.T) {
	series, d := frame(3)
	d.Columns[1].Present = []bool{true, false, true}
	d.Columns[3].Bits[2] = math.Float64bits(math.NaN())
	var (
		e influx.Encoder
		b influx.Batch
	)
	const offset = 3e6
	if skipped := e.Append(&b, series, d, offset); skipped != (influx.Skipped{NotFinite: 1}) {
		t.Errorf("skipped %+v", skipped)
	}
	want := []string{
		`pump,a\ b=c\,d,device=pump-7,site=north running=false,temperature=20,flow\ rate=0.18,energy=0,state="pumping \"slowly\"" 1772366403123456000` + "\n",
		`pump,a\ b=c\,d,device=pump-7,site=north running=true,flow\ rate=1.18,energy=0.3333333333333333,state="pumping \"slowly\"" 1772366404123456000` + "\n",
		`pump,a\ b=c\,d,device=pump-7,site=north running=false,temperature=20.02,flow\ rate=2.18,state="pumping \"slowly\"" 1772366405123456000` + "\n",
	}
	if b.Lines() != len(want) {
		t.Fatalf("%d lines, want %d", b.Lines(), len(want))
	}
	total := 0
	for i := range want {
		if got := string(b.Line(i)); got != want[i] {
			t.Errorf("line %d:\n%swant\n%s", i, got, want[i])
		}
		total += len(want[i])
	}
	if b.Bytes() != total {
		t.Errorf("%d bytes, want %d", b.Bytes(), total)
	}
}

// TestSampleWithoutFields has lines for the samples that have a value, and no others.
func TestSampleWithoutFields(t *testing.T) {
	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Float64}, {ID: 2, Name: "w", Type: device.Int}}}
	d := &device.Data{
		Seq: 1, Times: []int64{1, 2, 3, math.MaxInt64},
		Columns: []device.Column{
			{ID: 1, Type: device.Float64, Bits: []uint64{math.Float64bits(math.Inf(1)), 0, 0, 0}, Present: []bool{true, false, true, true}},
			{ID: 2, Type: device.Int, Bits: make([]uint64, 4), Present: make([]bool, 4)},
		},
	}
	var (
		e influx.Encoder
		b influx.Batch
	)
	skipped := e.Append(&b, influx.NewSeries("k", "d", nil, schema), d, math.MaxInt64)
	skipped.Add(e.Append(&b, influx.NewSeries("k", "d", nil, schema), d, 0))
	if skipped != (influx.Skipped{NotFinite: 1, OutOfTime: 4}) {
		t.Errorf("skipped %+v", skipped)
	}
	if b.Lines() != 1 || string(b.Line(0)) != "k,device=d v=0 3000\n" {
		t.Errorf("%d lines, %q", b.Lines(), b.Line(0))
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	series, d := frame(60)
	var (
		e influx.Encoder
		b influx.Batch
	)
	e.Append(&b, series, d, 0)
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		e.Append(&b, series, d, 0)
	}); n != 0 {
		t.Errorf("%v allocations for a frame of 60 lines", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	series, d := frame(60)
	var (
		e     influx.Encoder
		batch influx.Batch
	)
	b.ReportAllocs()
	lines := 0
	for b.Loop() {
		batch.Reset()
		e.Append(&batch, series, d, 0)
		lines += batch.Lines()
	}
	b.SetBytes(int64(batch.Bytes()))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(lines), "ns/line")
}
