package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

var sensorSchema = &device.Schema{Channels: []device.Channel{
	{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 1000},
	{ID: 2, Name: "level", Type: device.Float32},
	{ID: 3, Name: "power", Type: device.Float64, Unit: "W"},
	{ID: 4, Name: "open", Type: device.Bool},
	{ID: 5, Name: "=state", Type: device.String},
}}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// sensor is a device whose frames go straight into the store.
type sensor struct {
	*ledger.Ingest
	t   testing.TB
	seq uint64
}

// newSensor registers a device with all types of channels.
func newSensor(a *apiRig, id string) *sensor {
	a.t.Helper()
	if _, err := a.store.Devices.Add([]devices.NewDevice{{ID: id}}); err != nil {
		a.t.Fatal(err)
	}
	s := &sensor{Ingest: a.store.Ledger.Ingest(id, 1, func() {}), t: a.t}
	message := device.AppendControl(nil, sensorSchema)
	s.Schema(message, sensorSchema)
	a.store.Devices.Note(id, &device.Hello{SchemaHash: device.HashSchema(message)})
	return s
}

// send sends one sample, with the first values of temperature, level, power, open and =state.
func (s *sensor) send(at time.Time, values ...any) {
	s.t.Helper()
	s.seq++
	d := &device.Data{Seq: s.seq, Times: []int64{at.UnixMicro()}}
	for i, v := range values {
		c := device.Column{ID: uint16(i + 1), Type: sensorSchema.Channels[i].Type}
		switch v := v.(type) {
		case nil:
			continue
		case int:
			c.Bits = []uint64{uint64(v)}
		case int64:
			c.Bits = []uint64{uint64(v)}
		case float64:
			c.Bits = []uint64{math.Float64bits(v)}
		case string:
			c.Text = [][]byte{[]byte(v)}
		}
		d.Columns = append(d.Columns, c)
	}
	s.frame(d)
}

func (s *sensor) frame(d *device.Data) {
	s.t.Helper()
	b, err := device.AppendData(nil, d, sensorSchema)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Frame(s.t.Context(), b, d, tail.Timing{}); err != nil {
		s.t.Fatal(err)
	}
}

// commit waits until everything handed in is on disk.
func (a *apiRig) commit() {
	a.t.Helper()
	if err := a.store.Ledger.Checkpoint(); err != nil {
		a.t.Fatal(err)
	}
}

// stoppedClock is a clock that the test moves.
func stoppedClock(at time.Time) (now func() time.Time, set func(time.Time)) {
	var clock atomic.Int64
	set = func(t time.Time) { clock.Store(t.UnixNano()) }
	set(at)
	return func() time.Time { return time.Unix(0, clock.Load()).UTC() }, set
}

func TestReadings(t *testing.T) {
	now, set := stoppedClock(noon)
	a := newAPI(t, rigOptions{clock: now})
	s := newSensor(a, "s")
	set(noon.Add(10 * time.Minute))
	for i := range 600 {
		at := noon.Add(time.Duration(i) * time.Second)
		switch i {
		case 30:
			s.send(at, 1999, float64(float32(0.1)), math.NaN(), 1, "off")
		case 31:
			s.send(at, 2150, float64(float32(-0.3)), math.Inf(1), 0, "on & on")
		case 59:
			s.send(at, 2134, nil, 1e-9)
		case 599:
			s.send(at, 7)
		default:
			s.send(at, 2100)
		}
	}
	a.commit()
	ms := func(s int) live.Millis { return live.Millis(noon.UnixMilli() + int64(s)*1000) }
	ask := func(query string) api.Summary {
		t.Helper()
		var got api.Summary
		a.get("/devices/s/readings"+query, &got)
		return got
	}
	got := ask(fmt.Sprintf("?from=%d&to=%d&points=2", ms(0), ms(120)))
	if got.Device != "s" || got.From != ms(0) || got.To != ms(120) || got.Step != 60_000 || len(got.Gaps) != 0 || got.MinGap < 3000 || got.MinGap > 3400 {
		t.Errorf("answer %+v", got)
	}
	for i, want := range []string{
		fmt.Sprintf(`{"id":1,"name":"temperature","unit":"Cel","type":"int","interval_ms":1000,"t":[%d,%d],"min":[19.99,21],"max":[21.5,21],"last":[21.34,21]}`, ms(59), ms(119)),
		fmt.Sprintf(`{"id":2,"name":"level","type":"float32","t":[%d],"min":[-0.3],"max":[0.1],"last":[-0.3]}`, ms(31)),
		fmt.Sprintf(`{"id":3,"name":"power","unit":"W","type":"float64","t":[%d],"min":[1e-09],"max":[null],"last":[1e-09]}`, ms(59)),
		fmt.Sprintf(`{"id":4,"name":"open","type":"bool","t":[%d],"min":[0],"max":[1],"last":[false]}`, ms(31)),
		fmt.Sprintf(`{"id":5,"name":"=state","type":"string","t":[%d],"last":["on \u0026 on"]}`, ms(31)),
	} {
		if b, _ := json.Marshal(got.Channels[i]); string(b) != want {
			t.Errorf("channel %d: %s, want %s", i, b, want)
		}
	}

	for query, want := range map[string]string{
		"?channel=temperature&channel=4&channel=1": "temperature open", // once each
		"?channel=%3Dstate":                        "=state",
		"":                                         "temperature level power open =state",
	} {
		var names []string
		answer := ask(query)
		for _, ch := range answer.Channels {
			names = append(names, ch.Name)
		}
		if len(answer.Others) > 0 { // they are for what the device does not have any more
			t.Errorf("%q has others: %+v", query, answer.Others)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%q has the channels %q", query, names)
		}
	}

	// By default an hour up to now, in 600 steps; all readings where there is no more than one in a step.
	got = ask("?channel=1")
	if got.To != ms(600) || got.From != ms(600-3600) || got.Step != 6000 || len(got.Channels[0].Time) != 100 {
		t.Errorf("by default from %d to %d in steps of %d, %d of them", got.From, got.To, got.Step, len(got.Channels[0].Time))
	}
	got = ask("?channel=1&from=2026-05-01T12:00:00Z&to=2026-05-01T14:01:40%2B02:00")
	if c := got.Channels[0]; len(c.Time) != 100 || !bytes.Equal(c.Min, c.Last) || !bytes.Equal(c.Max, c.Last) || got.Step != 167 {
		t.Errorf("100 seconds have %d readings in steps of %d", len(c.Time), got.Step)
	}
	if got = ask("?from=0&to=253402300799000&points=1&channel=1"); len(got.Channels[0].Time) != 1 || string(got.Channels[0].Last) != "[0.07]" {
		t.Errorf("all of time: %+v", got.Channels[0])
	}
	if got = ask("?from=1970-01-01T00:00:01Z&to=1970-01-01T00:00:02Z"); len(got.Gaps) != 0 || len(got.Channels[0].Time) != 0 { // before there was a device
		t.Errorf("long ago: %+v", got)
	}

	// A schema that another one replaced.
	changed := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "[degF]"}}}
	message := device.AppendControl(nil, changed)
	a.store.Devices.Note("s", &device.Hello{SchemaHash: device.HashSchema(message)})
	s.Schema(message, changed)
	s.send(noon.Add(601*time.Second), 6800)
	a.commit()
	set(noon.Add(602 * time.Second))
	got = ask("?channel=1&points=1")
	if string(got.Channels[0].Last) != "[68]" || len(got.Others) != 5 || got.Others[4].Unit != "Cel" || got.Others[4].Readings != 600 {
		t.Errorf("after a change of the schema: %+v, others %+v", got.Channels, got.Others)
	}
	a.call("viewer", "GET", "/devices/s/readings?channel=open", nil).wants(404, nil)
	if r := a.call("viewer", "GET", "/readings.csv?device=s&channel=open", nil).wants(200, nil); strings.Count(string(r.body), "\n") != 3 {
		t.Errorf("an old channel as CSV: %s", r.body)
	}
}

// Hubs once took readings of any time, and still have them.
func TestReadingsOutOfRangeMakeNoAnswerFail(t *testing.T) {
	a := newAPI(t, rigOptions{})
	s := newSensor(a, "s")
	for i, at := range []int64{device.MinTime - 1, math.MinInt64 + 1, device.MaxTime + 1, math.MaxInt64} {
		s.send(time.UnixMicro(at), 2100+i)
	}
	a.commit()
	var one api.Device
	a.get("/devices/s", &one)
	if !one.Books.LastData.Time().Equal(device.Moment(device.MinTime)) || one.Books.Frames != 4 {
		t.Errorf("%+v", one.Books)
	}
	a.get("/devices", nil)
	a.get("/devices/s/readings", nil)
	var times []string
	for _, line := range strings.Fields(string(a.call("viewer", "GET", "/readings.csv?device=s", nil).wants(200, nil).body))[1:] {
		at, _, _ := strings.Cut(line, ",")
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			t.Error(err)
		}
		times = append(times, at)
	}
	const first, last = "0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
	if !slices.Equal(times, []string{first, first, last, last}) {
		t.Errorf("%q", times)
	}
}

// Integers that no float can hold keep their digits.
func TestReadingsKeepDigits(t *testing.T) {
	a := newAPI(t, rigOptions{})
	s := newSensor(a, "s")
	at := time.Now().Add(-time.Minute)
	s.send(at, int64(math.MaxInt64-1))
	s.send(at.Add(time.Second), int64(math.MaxInt64))
	s.send(at.Add(2*time.Second), int64(1<<53+1))
	a.commit()
	r := a.call("viewer", "GET", "/devices/s/readings?channel=1&points=1", nil).wants(200, nil)
	for _, want := range []string{`"min":[90071992547409.93]`, `"max":[92233720368547758.07]`, `"last":[90071992547409.93]`} {
		if !strings.Contains(string(r.body), want) {
			t.Errorf("no %s in %s", want, r.body)
		}
	}
	r = a.call("viewer", "GET", "/devices/s", nil).wants(200, nil)
	if want := `"v":90071992547409.93,"text":"90071992547409.93"`; !strings.Contains(string(r.body), want) {
		t.Errorf("no %s in %s", want, r.body)
	}
}

func TestReadingsGaps(t *testing.T) {
	now, set := stoppedClock(noon)
	a := newAPI(t, rigOptions{clock: now})
	s := newSensor(a, "s")
	a.store.Outages.DeviceConnected("s")
	for i := range 10 {
		set(noon.Add(time.Duration(i) * time.Second))
		s.send(now(), 2100)
	}
	a.store.Outages.DeviceDisconnected("s")
	set(noon.Add(100 * time.Second))
	a.store.Outages.DeviceConnected("s")
	s.send(now(), 2100)
	set(noon.Add(200 * time.Second))
	s.send(now(), 2100)
	set(noon.Add(202 * time.Second))
	a.commit()
	var got api.Summary
	a.get("/devices/s/readings?to="+fmt.Sprint(noon.Add(time.Hour).UnixMilli()), &got) // gaps end now
	at := func(s int) live.Millis { return live.Millis(noon.UnixMilli() + int64(s)*1000) }
	want := []api.Gap{
		{From: at(9), To: at(100), Cause: outages.CauseOffline, Text: "the device was not connected"}, {From: at(100), To: at(200), Cause: outages.CauseUnknown},
	}
	if fmt.Sprint(got.Gaps) != fmt.Sprint(want) {
		t.Errorf("gaps %+v, want %+v", got.Gaps, want)
	}
}
