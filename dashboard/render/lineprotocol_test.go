package render

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestLineProtocol(t *testing.T) {
	office := func() Readings {
		return NewLineProtocol("room climate", map[string]string{"site": "north, 1", "a": "b"})
	}
	got := rendered(office(),
		// A sample of three channels.
		number(temperature, 0, 2318), number(humidity, 0, math.Float64bits(float64(float32(27.272)))), number(occupied, 0, 1),
		// Another with the same time: its first channel does not follow the last one's.
		number(temperature, 0, 2400), words(0, `a "b" \ c`),
		// One with nothing line protocol can say, and one with a hole in it.
		number(energy, 5, math.Float64bits(math.NaN())),
		number(temperature, 6, 100), number(energy, 6, math.Float64bits(math.Inf(1))))
	diff(t, got,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=23.18,rel\,\ humidity\=x=27.272,occupied=true 1423072260000000000`,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=24,message="a \"b\" \\ c" 1423072260000000000`,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=1 1423072260000006000`,
	)
	if got := rendered(office()); got != "" {
		t.Errorf("without readings: %q", got)
	}
}

// TestLineProtocolOfTwoSchemas has a channel that gets another name, which line protocol can't carry as it is.
func TestLineProtocolOfTwoSchemas(t *testing.T) {
	later := schemaOf(&device.Channel{ID: 1, Name: `ends in \`, Type: device.Bool}, &device.Channel{ID: 2, Name: "time", Type: device.Bool})
	reading := func(i int) history.Reading {
		return history.Reading{Time: at(0), Device: "office", Channel: &later.Channels[i], Schema: later, Value: device.Value{Type: device.Bool, Bits: 1}}
	}
	diff(t, rendered(NewLineProtocol("k", nil),
		number(temperature, 0, 1), reading(0), reading(1), number(energy, 0, 0)),
		`k,device=office temperature=0.01 1423072260000000000`,
		`k,device=office ends\ in\ \_=true,time_=true 1423072260000000000`,
		`k,device=office energy=0 1423072260000000000`,
	)
}

// TestLineProtocolIsWhatIsExported compares what is rendered with what an InfluxDB is sent.
func TestLineProtocolIsWhatIsExported(t *testing.T) {
	var mu sync.Mutex
	var exported []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		exported = slices.AppendSeq(exported, strings.Lines(string(body)))
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	st, err := store.Open(store.Options{Dir: t.TempDir(), Influx: &export.Options{
		Config: influx.Config{URL: server.URL, Bucket: "b"}, FlushInterval: time.Millisecond,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer storetest.Run(t, st)()
	labels := map[string]string{"device": `a\`, "b": "c d"}
	if _, err := st.Devices.Add([]devices.NewDevice{{ID: "office", Kind: "climate", Labels: labels}}); err != nil {
		t.Fatal(err)
	}
	in := st.Ledger.Ingest("office", 1, func() {})
	defer in.Close()
	sendAwkward(t, in)
	var want []string
	for deadline := time.Now().Add(20 * time.Second); len(want) < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the export did not come")
		}
		mu.Lock()
		want = slices.Clone(exported)
		mu.Unlock()
	}
	lines, out := NewLineProtocol("climate", labels), []byte(nil)
	for r, err := range st.Readings(t.Context(), history.Query{Device: "office"}) {
		if err != nil {
			t.Fatal(err)
		}
		out = lines.Append(out, &r)
	}
	got := slices.Collect(strings.Lines(string(lines.End(out))))
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("exported -, rendered +\n%s", d)
	}
}

// sendAwkward sends five samples that become lines, of channels of every type and with names of every kind, under two schemas.
func sendAwkward(t *testing.T, in *ledger.Ingest) {
	t.Helper()
	schema := schemaOf(temperature, humidity, occupied, message, energy,
		&device.Channel{ID: 6, Name: "time", Type: device.Int, Scale: 3}, &device.Channel{ID: 7, Name: "time_", Type: device.Int},
		&device.Channel{ID: 8, Name: `"quoted", ends in \`, Type: device.Float32})
	announce := func() { in.Schema(device.AppendControl(nil, schema), schema) }
	bits := func(f float64) uint64 { return math.Float64bits(f) }
	send := func(d *device.Data) {
		t.Helper()
		m, err := device.AppendData(nil, d, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Frame(t.Context(), m, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	t0 := at(0).UnixMicro()
	announce()
	send(&device.Data{Seq: 1, Times: []int64{t0, t0 + 1, t0 + 2}, Columns: []device.Column{
		{ID: 1, Type: device.Int, Bits: []uint64{2318, 1<<63 - 1, 1 << 63}},
		{ID: 2, Type: device.Float32, Bits: []uint64{bits(float64(float32(27.272))), bits(float64(float32(1e-20))), bits(math.NaN())}},
		{ID: 3, Type: device.Bool, Bits: []uint64{1, 0, 1}},
		{ID: 4, Type: device.String, Text: [][]byte{[]byte("a \"b\"\\\n"), nil, []byte("\x00é")}},
		{ID: 5, Type: device.Float64, Bits: []uint64{bits(1e300), bits(math.Inf(1)), bits(-0.1)}},
		{ID: 6, Type: device.Int, Bits: []uint64{5, 6, 7}},
		{ID: 7, Type: device.Int, Bits: []uint64{0, 6, 0}, Present: []bool{false, true, false}},
		{ID: 8, Type: device.Float32, Bits: []uint64{0, bits(16777216), bits(0.5)}},
	}})
	// Samples of which nothing is left.
	send(&device.Data{Seq: 2, Times: []int64{t0 + 3}, Columns: []device.Column{{ID: 5, Type: device.Float64, Bits: []uint64{bits(math.NaN())}}}})
	send(&device.Data{Seq: 3, Times: []int64{math.MaxInt64}, Columns: []device.Column{{ID: 3, Type: device.Bool, Bits: []uint64{1}}}})
	schema = schemaOf(&device.Channel{ID: 1, Name: "time_", Type: device.Bool})
	announce()
	send(&device.Data{Seq: 4, Times: []int64{t0 + 5, t0 + 4}, Columns: []device.Column{{ID: 1, Type: device.Bool, Bits: []uint64{1, 0}}}})
}
