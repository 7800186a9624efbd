package influx_test

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newWriter(t testing.TB, c influx.Config) *influx.Writer {
	t.Helper()
	if c.Bucket == "" {
		c.Bucket = influxtest.Database
	}
	w, err := influx.NewWriter(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// deliver writes one frame and fails if anything in it is refused.
func deliver(t *testing.T, s *influxtest.Server, series *influx.Series, d *device.Data) influx.Skipped {
	t.Helper()
	var (
		e influx.Encoder
		b influx.Batch
	)
	skipped := e.Append(&b, series, d, 0)
	bad, err := newWriter(t, influx.Config{URL: s.URL, Token: s.Token}).Deliver(context.Background(), &b)
	if err != nil || len(bad) > 0 {
		t.Fatalf("deliver %q: refused %v, %v", b.Line(0), bad, err)
	}
	return skipped
}

func oneSample(at time.Time, columns ...device.Column) *device.Data {
	return &device.Data{Seq: 1, Times: []int64{at.UnixMicro()}, Columns: columns}
}

// TestValuesReadBack writes a value of each critical kind, and reads what InfluxDB made of it.
func TestValuesReadBack(t *testing.T) {
	s := influxtest.Start(t)
	everyByte := make([]byte, 0, 128)
	for c := range byte(128) {
		everyByte = append(everyByte, c)
	}
	inTwo := strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`)
	number := func(f float64) json.Number { return json.Number(strconv.FormatFloat(f, 'g', -1, 64)) }
	float64s := func(f float64) device.Column {
		return device.Column{Type: device.Float64, Bits: []uint64{math.Float64bits(f)}}
	}
	text := func(s string) device.Column { return device.Column{Type: device.String, Text: [][]byte{[]byte(s)}} }
	tests := []struct {
		name   string
		column device.Column
		scale  int8
		want   any // nil: no such field
	}{
		{"false", device.Column{Type: device.Bool, Bits: []uint64{0}}, 0, false},
		{"true", device.Column{Type: device.Bool, Bits: []uint64{1}}, 0, true},
		{"scaled", device.Column{Type: device.Int, Bits: []uint64{2134}}, -2, number(21.34)},
		{"negative", device.Column{Type: device.Int, Bits: []uint64{^uint64(4)}}, 0, number(-5)},
		{"2^53+1", device.Column{Type: device.Int, Bits: []uint64{1<<53 + 1}}, 0, number(1 << 53)},
		{"2^53+3", device.Column{Type: device.Int, Bits: []uint64{1<<53 + 3}}, 0, number(1<<53 + 4)},
		{"max int", device.Column{Type: device.Int, Bits: []uint64{math.MaxInt64}}, 0, number(1 << 63)},
		{"min int", device.Column{Type: device.Int, Bits: []uint64{1 << 63}}, 0, number(-1 << 63)},
		{"huge scale", device.Column{Type: device.Int, Bits: []uint64{math.MaxInt64}}, 18, number(9223372036854775807e18)},
		{"float32", device.Column{Type: device.Float32, Bits: []uint64{math.Float64bits(float64(float32(23.18)))}}, 0, number(23.18)},
		{"float64", float64s(0.1 + 0.2), 0, number(0.1 + 0.2)},
		{"smallest", float64s(math.SmallestNonzeroFloat64), 0, number(math.SmallestNonzeroFloat64)},
		{"largest", float64s(-math.MaxFloat64), 0, number(-math.MaxFloat64)},
		{"NaN", float64s(math.NaN()), 0, nil},
		{"+Inf", float64s(math.Inf(1)), 0, nil},
		{"-Inf", float64s(math.Inf(-1)), 0, nil},
		{"empty text", text(""), 0, ""},
		{"every ASCII byte", text(string(everyByte)), 0, inTwo.Replace(string(everyByte))},
		{"lines", text("two\nlines,and=more \"quoted\" \\ end\\"), 0, "two\\nlines,and=more \"quoted\" \\ end\\"},
		{"two backslashes", text(`\\`), 0, `\\`},
		{"longest text", text(strings.Repeat("µ", device.MaxString/2)), 0, strings.Repeat("µ", device.MaxString/2)},
	}
	schema := &device.Schema{}
	d := oneSample(epoch)
	for i, test := range tests {
		schema.Channels = append(schema.Channels, device.Channel{ID: uint16(i), Name: test.name, Type: test.column.Type, Scale: test.scale})
		test.column.ID = uint16(i)
		d.Columns = append(d.Columns, test.column)
	}
	skipped := deliver(t, s, influx.NewSeries("readings", "pump-7", nil, schema), d)
	if skipped != (influx.Skipped{NotFinite: 3}) {
		t.Errorf("skipped %+v", skipped)
	}
	got := row(t, s, "SELECT * FROM readings")
	if got["time"] != json.Number(strconv.FormatInt(epoch.UnixNano(), 10)) || got["device"] != "pump-7" {
		t.Errorf("time %v, device %v", got["time"], got["device"])
	}
	for _, test := range tests {
		value := got[test.name]
		if n, ok := value.(json.Number); ok {
			f, err := n.Float64()
			if err != nil {
				t.Fatal(err)
			}
			value = number(f)
		}
		if value != test.want {
			t.Errorf("%s: %#v, want %#v", test.name, value, test.want)
		}
	}
}

// row runs a query that has one row and returns it by column.
func row(t *testing.T, s *influxtest.Server, query string) map[string]any {
	t.Helper()
	series := s.Exec(query)
	if len(series) != 1 || len(series[0].Values) != 1 {
		t.Fatalf("%s: %+v", query, series)
	}
	r := map[string]any{}
	for i, column := range series[0].Columns {
		r[column] = series[0].Values[0][i]
	}
	return r
}

// TestNamesReadBack writes fields, tags and their values with names that line protocol has to escape.
func TestNamesReadBack(t *testing.T) {
	s := influxtest.Start(t)
	names := []string{
		"plain", "two words", "a,comma", "an=equals", `a "quote"`, `"quoted"`, `back\slash`, `double\\slash`, `\leading`, "#hash",
		"ünï©ode", " spaces around ", "'single'", "{braces}", "percent%20",
	}
	changed := map[string]string{
		`trailing\`: `trailing\_`, `two trailing\\`: `two trailing\\_`, `back\,comma`: `back\_,comma`, `back\ space`: `back\_ space`,
		`back\=equals`: `back\_=equals`, `back\"quote`: `back\_"quote`, "time": "time__", "time_": "time___", // a label is called time_, see below
	}
	schema := &device.Schema{}
	d := oneSample(epoch)
	labels := map[string]string{"device": "a label", "time": "noon"}
	add := func(name string) {
		id := uint16(len(d.Columns))
		schema.Channels = append(schema.Channels, device.Channel{ID: id, Name: name, Type: device.Int})
		d.Columns = append(d.Columns, device.Column{ID: id, Type: device.Int, Bits: []uint64{uint64(id)}})
		labels["label-"+strconv.Itoa(int(id))] = name
	}
	for _, name := range names {
		add(name)
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		add(name)
	}
	deliver(t, s, influx.NewSeries("pump.v2_x-y", "pump-7", labels, schema), d)
	got := row(t, s, `SELECT * FROM "pump.v2_x-y"`)
	for i, c := range schema.Channels {
		field, tag := c.Name, c.Name
		if other, ok := changed[c.Name]; ok {
			field = other
			if !strings.HasPrefix(c.Name, "time") { // fine values of tags
				tag = other
			}
		}
		if value := got[field]; value != json.Number(strconv.Itoa(i)) {
			t.Errorf("field %q has %#v, want %d", field, value, i)
		}
		if value := got["label-"+strconv.Itoa(i)]; value != tag {
			t.Errorf("tag value %#v, want %q", value, tag)
		}
	}
	if got["device"] != "pump-7" || got["device_"] != "a label" || got["time_"] == nil || got["time__"] == nil {
		t.Errorf("labels with the names of our own: %v", got)
	}
}

// TestFieldsNamedLikeTags has channels with the names of tags: InfluxQL and Flux would give one for the other.
func TestFieldsNamedLikeTags(t *testing.T) {
	s := influxtest.Start(t)
	schema := &device.Schema{}
	d := oneSample(epoch)
	for i, name := range []string{"device", "time", "site", "site_", "device_", "floor"} {
		schema.Channels = append(schema.Channels, device.Channel{ID: uint16(i), Name: name, Type: device.Int})
		d.Columns = append(d.Columns, device.Column{ID: uint16(i), Type: device.Int, Bits: []uint64{uint64(i)}})
	}
	labels := map[string]string{"site": "شمال\u200cغرب", "time": "noon"}
	deliver(t, s, influx.NewSeries("room", "r-1", labels, schema), d)
	got := row(t, s, `SELECT * FROM room`)
	want := map[string]any{
		"device": "r-1", "site": "شمال\u200cغرب", "time_": "noon", "time": json.Number(strconv.FormatInt(epoch.UnixNano(), 10)),
		"device__": json.Number("0"), "time__": json.Number("1"), "site__": json.Number("2"), "site_": json.Number("3"),
		"device_": json.Number("4"), "floor": json.Number("5"),
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	fields := map[any]bool{}
	for _, r := range s.Flux(`from(bucket: "telemetry") |> range(start: 2026-01-01T00:00:00Z, stop: 2027-01-01T00:00:00Z)`) {
		fields[r["_field"]] = true
		if r["device"] != "r-1" || r["site"] != "شمال\u200cغرب" {
			t.Errorf("Flux: %v", r)
		}
	}
	if len(fields) != len(schema.Channels) {
		t.Errorf("Flux has the fields %v", fields)
	}
}

// TestOutermostTimes writes the earliest and the latest time InfluxDB can hold, and some it can't.
func TestOutermostTimes(t *testing.T) {
	s := influxtest.Start(t)
	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}
	const limit = (math.MaxInt64 - 1) / 1000
	d := &device.Data{
		Seq: 1, Times: []int64{-limit - 1, -limit, -1, 0, limit, limit + 1, math.MinInt64, math.MaxInt64},
		Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{0, 1, 2, 3, 4, 5, 6, 7}}},
	}
	skipped := deliver(t, s, influx.NewSeries("times", "pump-7", nil, schema), d)
	if skipped != (influx.Skipped{OutOfTime: 4}) {
		t.Errorf("skipped %+v", skipped)
	}
	series := s.Exec("SELECT v FROM times WHERE time >= -9223372036854775806 AND time <= 9223372036854775806")
	var got []string
	for _, v := range series[0].Values {
		got = append(got, string(v[0].(json.Number)))
	}
	if want := "-9223372036854775000 -1000 0 9223372036854775000"; strings.Join(got, " ") != want {
		t.Errorf("times %v, want %s", got, want)
	}
}
