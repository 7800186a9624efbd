package render

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// channels of the device that the tests render.
var (
	temperature = &device.Channel{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"}
	humidity    = &device.Channel{ID: 2, Name: "rel, humidity=x", Type: device.Float32}
	occupied    = &device.Channel{ID: 3, Name: "occupied", Type: device.Bool}
	message     = &device.Channel{ID: 4, Name: "message", Type: device.String}
	energy      = &device.Channel{ID: 5, Name: "energy", Type: device.Float64, Unit: "kW.h"}

	office = schemaOf(temperature, humidity, occupied, message, energy)
)

func schemaOf(channels ...*device.Channel) *device.Schema {
	s := &device.Schema{}
	for _, ch := range channels {
		s.Channels = append(s.Channels, *ch)
	}
	return s
}

func at(µs int64) time.Time { return time.UnixMicro(1423072260_000000 + µs) }

func number(ch *device.Channel, µs int64, bits uint64) history.Reading {
	return history.Reading{
		Time: at(µs), Device: "office", Channel: ch, Schema: office,
		Value: device.Value{Type: ch.Type, Scale: ch.Scale, Bits: bits},
	}
}

func words(µs int64, s string) history.Reading {
	return history.Reading{
		Time: at(µs), Device: "office", Channel: message, Schema: office, Value: device.Value{Type: device.String, Text: s},
	}
}

func rendered(r Readings, readings ...history.Reading) string {
	out := r.Begin(nil)
	for i := range readings {
		out = r.Append(out, &readings[i])
	}
	return string(r.End(out))
}

func diff(t *testing.T, got string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}

func TestCSV(t *testing.T) {
	received := number(temperature, 0, 2318)
	received.Quality = tail.QualityReceived
	diff(t, rendered(CSV{},
		received,
		number(humidity, 1, math.Float64bits(float64(float32(27.272)))),
		number(occupied, 999999, 1),
		number(energy, 1000000, math.Float64bits(math.NaN())),
		words(0, `plain`), words(0, `a,b "c"`), words(0, ""), number(temperature, 0, math.MaxUint64), words(0, "-1"), words(0, "a;=1\x1b[2J"), words(0, "＝1")),
		"time,device,channel,value,unit,time_quality",
		"2015-02-04T17:51:00.000000Z,office,temperature,23.18,Cel,received",
		`2015-02-04T17:51:00.000001Z,office,"rel, humidity=x",27.272,,`,
		"2015-02-04T17:51:00.999999Z,office,occupied,true,,",
		"2015-02-04T17:51:01.000000Z,office,energy,NaN,kW.h,",
		"2015-02-04T17:51:00.000000Z,office,message,plain,,",
		`2015-02-04T17:51:00.000000Z,office,message,"a,b ""c""",,`,
		"2015-02-04T17:51:00.000000Z,office,message,,,",
		"2015-02-04T17:51:00.000000Z,office,temperature,-0.01,Cel,",
		"2015-02-04T17:51:00.000000Z,office,message,'-1,,",
		`2015-02-04T17:51:00.000000Z,office,message,"a;'=1\x1b[2J",,`,
		"2015-02-04T17:51:00.000000Z,office,message,'＝1,,",
	)
}

func TestNDJSON(t *testing.T) {
	converted := number(occupied, 0, 0)
	converted.Quality = tail.QualityConverted
	got := rendered(NDJSON{},
		number(temperature, 0, 2318),
		number(humidity, 0, math.Float64bits(math.Inf(-1))),
		converted,
		words(0, "a \"b\"\n\x00"),
		number(&device.Channel{ID: 9, Name: "n", Type: device.Int}, 0, math.MaxInt64))
	diff(t, got,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"temperature","value":23.18,"unit":"Cel"}`,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"rel, humidity=x","value":"-Infinity"}`,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"occupied","value":false,"time_quality":"converted"}`,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"message","value":"a \"b\"\n\u0000"}`,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"n","value":9223372036854775807}`,
	)
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewReadingsTable([]Row{{Device: "office"}, {Channel: "temperature", Unit: "Cel"}, {Channel: "\u202eerut"}})
	out := table.Begin(nil)
	for _, line := range []string{
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"temperature","value":23.18,"unit":"Cel"}`,
		`{"time":"2015-02-04T17:51:00.000000Z","device":"office","channel":"occupied","value":true}`,
		`{"time":"2015-02-04T17:51:00.000001Z","device":"office","channel":"temperature","value":24,"unit":"Cel","time_quality":"doubtful"}`,
		`{"time":"2015-02-04T17:51:00.000002Z","device":"office","channel":"message","value":"\u001b[2J"}`,
		`{"time":"2015-02-04T17:51:00.000003Z","device":"office","channel":"energy","value":"-Infinity"}`,
		`{"time":"2015-02-04T17:51:00.000003Z","device":"office","channel":"\u202eerut","value":1,"unit":"m\u2066"}`,
	} {
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = table.Row(out, &r)
	}
	diff(t, string(out),
		"TIME                         DEVICE  CHANNEL               VALUE  UNIT",
		"2015-02-04T17:51:00.000000Z  office  temperature           23.18  Cel",
		"2015-02-04T17:51:00.000000Z  office  occupied               true",
		"2015-02-04T17:51:00.000001Z  office  temperature              24  Cel   (clock doubtful)",
		`2015-02-04T17:51:00.000002Z  office  message           "\x1b[2J"`,
		"2015-02-04T17:51:00.000003Z  office  energy            -Infinity",
		`2015-02-04T17:51:00.000003Z  office  \u202eerut                1  m\u2066`,
	)
}
