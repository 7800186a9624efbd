package control

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// channels of the device that the tests render.
var (
	temperature = &device.Channel{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"}
	humidity    = &device.Channel{ID: 2, Name: "rel, humidity=x", Type: device.Float32}
	occupied    = &device.Channel{ID: 3, Name: "occupied", Type: device.Bool}
	message     = &device.Channel{ID: 4, Name: "message", Type: device.String}
	energy      = &device.Channel{ID: 5, Name: "energy", Type: device.Float64, Unit: "kW.h"}
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
		Time: at(µs), Device: "office", Channel: ch,
		Value: device.Value{Type: ch.Type, Scale: ch.Scale, Bits: bits},
	}
}

func text(µs int64, s string) history.Reading {
	return history.Reading{Time: at(µs), Device: "office", Channel: message, Value: device.Value{Type: device.String, Text: s}}
}

func render(t *testing.T, r renderer, readings ...history.Reading) string {
	t.Helper()
	out := r.begin(nil)
	var err error
	for i := range readings {
		if out, err = r.reading(out, &readings[i]); err != nil {
			t.Fatal(err)
		}
	}
	if out, err = r.end(out); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func diff(t *testing.T, got string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}

func TestCSV(t *testing.T) {
	received := number(temperature, 0, 2318)
	received.Quality = history.QualityReceived
	diff(t, render(t, csv{},
		received,
		number(humidity, 1, math.Float64bits(float64(float32(27.272)))),
		number(occupied, 999999, 1),
		number(energy, 1000000, math.Float64bits(math.NaN())),
		text(0, `plain`), text(0, `a,b "c"`), text(0, "")),
		"time,device,channel,value",
		"2015-02-04T17:51:00.000000000Z,office,temperature,23.18",
		`2015-02-04T17:51:00.000001000Z,office,"rel, humidity=x",27.272`,
		"2015-02-04T17:51:00.999999000Z,office,occupied,true",
		"2015-02-04T17:51:01.000000000Z,office,energy,NaN",
		"2015-02-04T17:51:00.000000000Z,office,message,plain",
		`2015-02-04T17:51:00.000000000Z,office,message,"a,b ""c"""`,
		"2015-02-04T17:51:00.000000000Z,office,message,",
	)
}

func TestNDJSON(t *testing.T) {
	converted := number(occupied, 0, 0)
	converted.Quality = history.QualityConverted
	got := render(t, ndjson{},
		number(temperature, 0, 2318),
		number(humidity, 0, math.Float64bits(math.Inf(-1))),
		converted,
		text(0, "a \"b\"\n\x00"),
		number(&device.Channel{ID: 9, Name: "n", Type: device.Int}, 0, math.MaxInt64))
	diff(t, got,
		`{"time":"2015-02-04T17:51:00.000000000Z","device":"office","channel":"temperature","value":23.18,"unit":"Cel"}`,
		`{"time":"2015-02-04T17:51:00.000000000Z","device":"office","channel":"rel, humidity=x","value":"-Infinity"}`,
		`{"time":"2015-02-04T17:51:00.000000000Z","device":"office","channel":"occupied","value":false,"time_quality":"converted"}`,
		`{"time":"2015-02-04T17:51:00.000000000Z","device":"office","channel":"message","value":"a \"b\"\n\u0000"}`,
		`{"time":"2015-02-04T17:51:00.000000000Z","device":"office","channel":"n","value":9223372036854775807}`,
	)
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestLineProtocol(t *testing.T) {
	d := &store.Device{ID: "office", Kind: "room climate", Labels: map[string]string{"site": "north, 1", "a": "b"}}
	got := render(t, newLineProtocol(d),
		// A sample of three channels.
		number(temperature, 0, 2318), number(humidity, 0, math.Float64bits(float64(float32(27.272)))), number(occupied, 0, 1),
		// Another with the same time: its first channel does not follow the last one's.
		number(temperature, 0, 2400), text(0, `a "b" \ c`),
		// One with nothing line protocol can say, and one with a hole in it.
		number(energy, 5, math.Float64bits(math.NaN())),
		number(temperature, 6, 100), number(energy, 6, math.Float64bits(math.Inf(1))))
	diff(t, got,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=23.18,rel\,\ humidity\=x=27.272,occupied=true 1423072260000000000`,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=24,message="a \"b\" \\ c" 1423072260000000000`,
		`room\ climate,a=b,device=office,site=north\,\ 1 temperature=1 1423072260000006000`,
	)
	dec := lineprotocol.NewDecoderWithBytes([]byte(got))
	for dec.Next() {
		for _, next := range []func() error{
			func() error { _, err := dec.Measurement(); return err },
			func() error { _, err := dec.Time(lineprotocol.Nanosecond, time.Time{}); return err },
		} {
			if err := next(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A name that line protocol can't carry must not make its readings disappear without a word.
func TestLineProtocolRefusesWhatItCannotSay(t *testing.T) {
	r := newLineProtocol(&store.Device{ID: "office", Kind: "k"})
	bad := number(&device.Channel{ID: 1, Name: `ends in \`, Type: device.Bool}, 0, 1)
	out, err := r.reading(nil, &bad)
	if err == nil {
		_, err = r.end(out)
	}
	if err == nil || !strings.Contains(err.Error(), "invalid field key") {
		t.Errorf("got error %v", err)
	}
}

func TestTable(t *testing.T) {
	doubtful := number(temperature, 1, 2400)
	doubtful.Quality = history.QualityDoubtful
	diff(t, render(t, newTable(schemaOf(temperature, occupied)),
		number(temperature, 0, 2318), number(occupied, 0, 1), doubtful, text(2, "\x1b[2J")),
		"TIME (UTC)                  CHANNEL               VALUE  UNIT",
		"2015-02-04 17:51:00.000000  temperature           23.18  Cel",
		"2015-02-04 17:51:00.000000  occupied               true",
		"2015-02-04 17:51:00.000001  temperature              24  Cel   (clock doubtful)",
		`2015-02-04 17:51:00.000002  message           "\x1b[2J"`,
	)
}
