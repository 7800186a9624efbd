package live

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func (w *watcher) device() DeviceUpdate {
	w.t.Helper()
	return decode[DeviceUpdate](w.t, w.one().Body)
}

func TestDetailOfADevice(t *testing.T) {
	r := newRig(t, "a", "b")
	d := r.connect("a", 1)
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{1: 100, 2: true, 3: "auto", 4: math.Inf(-1)}})
	r.ticks(4)
	w := r.watcher()
	w.subscribe("/topic/devices/a/readings")
	u := w.device()
	if u.Kind != "snapshot" || u.Device == nil || len(u.Device.Values) != 4 || u.Schema == nil || len(u.Schema.Channels) != 4 ||
		u.Schema.Commands[0].Confirm != "typed" || !u.Schema.Channels[3].Writable || len(u.Points) != 0 || len(u.Events) != 1 {
		t.Errorf("%+v", u)
	}
	if v := u.Device.Values[3]; string(v.Value) != "null" || v.Text != "-Inf" {
		t.Errorf("%+v", v)
	}
	if v := u.Device.Values[1]; string(v.Value) != "true" {
		t.Errorf("%+v", v)
	}
	r.device("b").send(1) // somebody else
	r.ticks(1)
	w.none()

	at := r.clock.ago(0)
	d.frame(tail.Timing{}, reading{at, map[uint16]any{1: 200}}, reading{at + 1000, map[uint16]any{1: 300, 3: "off", 4: math.NaN()}})
	d.frame(tail.Timing{}, reading{at - 60e6, map[uint16]any{1: 1}}, reading{at - 50e6, map[uint16]any{1: 1}})
	r.ticks(1)
	u = w.device()
	if u.Kind != "update" || u.Schema != nil || u.Events != nil || len(u.Device.Values) != 3 || u.Device.Values[0].Text != "3" || u.Device.Values[1].Text != "off" {
		t.Errorf("%+v", u)
	}
	want := Points{pointOf(at/1000, 2), pointOf(at/1000+1, 3)}
	if !slices.Equal(u.Points["1"], want) || len(u.Points["3"]) != 0 || len(u.Points["4"]) != 1 || !math.IsNaN(u.Points["4"][0].number()) {
		t.Errorf("%+v", u.Points)
	}
	if u.Backlog == nil || *u.Backlog != (Span{Millis(at/1000 - 60_000), Millis(at/1000 - 50_000 + 1)}) {
		t.Errorf("%+v", u.Backlog)
	}
	r.ticks(4)
	if u = w.device(); u.Kind != "update" || u.Points != nil || u.Backlog != nil {
		t.Errorf("%+v", u)
	}

	// Another schema: what was known is dropped, but for the channel that has stayed.
	next := &device.Schema{Channels: []device.Channel{testSchema.Channels[0], {ID: 9, Name: "new", Type: device.Bool}}}
	d.announce(next)
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{9: true}})
	r.ticks(1)
	u = w.device()
	if u.Kind != "snapshot" || len(u.Schema.Channels) != 2 || len(u.Device.Values) != 2 || u.Device.Values[0].Text != "3" || u.Events[0].Kind != "schema" {
		t.Errorf("%+v", u)
	}
	// A backlog of the old schema does not bring it back.
	d.announce(testSchema)
	d.store.Devices.Note("a", &device.Hello{SchemaHash: device.HashSchema(device.AppendControl(nil, next))})
	d.frame(tail.Timing{}, reading{r.clock.ago(-time.Second), map[uint16]any{1: 900, 2: true}})
	r.ticks(1)
	if u = w.device(); u.Kind != "update" || len(u.Device.Values) != 1 || u.Device.Values[0].Text != "9" {
		t.Errorf("%+v", u)
	}

	if err := r.store.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	r.ticks(4)
	if u = w.device(); u.Kind != "removed" || u.Device != nil {
		t.Errorf("%+v", u)
	}
	r.add("a")
	r.ticks(4)
	if u = w.device(); u.Kind != "snapshot" || u.Device.State != StateNever || u.Device.Values != nil {
		t.Errorf("%+v", u)
	}
}

// What comes between the end of a tick and Take is told with the next tick, and not twice.
func TestPointsAreToldOnce(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(1)
	r.ticks(4)
	w := r.watcher()
	w.subscribe("/topic/devices/a/readings")
	w.one()
	var got []float64
	for i := range 5 {
		r.clock.add(time.Millisecond)
		d.send(100 * (2*i + 1))
		r.ticks(1)
		r.clock.add(time.Millisecond)
		d.send(100 * (2*i + 2))
		for _, p := range w.device().Points["1"] {
			got = append(got, p.number())
		}
	}
	if !slices.Equal(got, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v", got)
	}
}

// A device that is removed and comes again at once begins from nothing.
func TestRemovedAndRegisteredAgain(t *testing.T) {
	r := newRig(t, "a")
	r.connect("a", 1).send(5)
	if err := r.store.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	r.add("a")
	r.eventually("it is forgotten", func() bool { return r.row("a").Seen == 0 })
	r.ticks(4)
	if row := r.row("a"); row.Values != nil || row.State != StateNever {
		t.Errorf("%+v", row)
	}
	delete(r.devices, "a")
	r.device("a").send(6)
	if v := r.valueOf("a", "temperature"); v == nil || v.Text != "0.06" {
		t.Errorf("%+v", v)
	}
}

func TestPointsAreThinned(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(0)
	r.ticks(4)
	w := r.watcher()
	w.subscribe("/topic/devices/a/readings")
	w.one()
	var samples []reading
	for i := range 1000 {
		v := i % 10
		if i == 777 {
			v = -5000
		}
		samples = append(samples, reading{r.clock.ago(0) + int64(1+i)*1000, map[uint16]any{1: v}})
	}
	slices.Reverse(samples) // in any order
	d.frame(tail.Timing{}, samples...)
	r.ticks(1)
	points := w.device().Points["1"]
	lowest := slices.MinFunc(points, func(a, b Point) int { return int(a.number()*100) - int(b.number()*100) })
	if len(points) > 64 || len(points) < 60 || lowest.number() != -50 {
		t.Errorf("%d points, %v", len(points), lowest)
	}
	if !slices.IsSortedFunc(points, func(a, b Point) int { return int(a.Time - b.Time) }) {
		t.Error("not by time")
	}
}

// A sensor that says NaN now and then hides no peak beside it.
func TestThinnedPointsKeepPeaks(t *testing.T) {
	for _, nan := range []int{0, 500, 999} {
		p := make(Points, 1000)
		for i := range p {
			v := 20.0
			switch i {
			case nan:
				v = math.NaN()
			case nan + 1, nan - 1:
				v = 99
			}
			p[i] = Point{Millis(i), device.Value{Type: device.Float64, Bits: math.Float64bits(v)}}
		}
		if thinned := p.thin(2); !slices.ContainsFunc(thinned, func(p Point) bool { return p.number() == 99 }) {
			t.Errorf("NaN at %d: %v", nan, thinned)
		}
	}
}

// Integers that no float can hold keep their digits.
func TestPointsKeepDigits(t *testing.T) {
	p := Points{
		{1, device.Value{Type: device.Int, Bits: math.MaxInt64}}, {2, device.Value{Type: device.Int, Scale: -2, Bits: 1<<53 + 1}},
		{3, device.Value{Type: device.Bool, Bits: 1}}, {4, device.Value{Type: device.Float64, Bits: math.Float64bits(math.Inf(1))}},
		{5, device.Value{Type: device.Float32, Bits: math.Float64bits(float64(float32(0.1)))}},
	}
	const want = `[[1,9223372036854775807],[2,90071992547409.93],[3,1],[4,null],[5,0.1]]`
	if b, err := json.Marshal(p); err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

// More than can be kept is told as a snapshot, so that the viewer loads the history.
func TestTooManyPoints(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	d.send(0)
	r.ticks(4)
	w := r.watcher()
	w.subscribe("/topic/devices/a/readings")
	w.one()
	for range 5 {
		var samples []reading
		for i := range 1000 {
			samples = append(samples, reading{r.clock.ago(0) + int64(1+i), map[uint16]any{1: i}})
		}
		r.clock.add(time.Millisecond)
		d.frame(tail.Timing{}, samples...)
	}
	r.ticks(1)
	if u := w.device(); u.Kind != "snapshot" {
		t.Errorf("%+v", u)
	}
	if n := len(r.entries["a"].ring.points); n > 2*maxPoints {
		t.Errorf("%d points are kept", n)
	}
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{1: 1}})
	r.ticks(1)
	if u := w.device(); u.Kind != "update" || len(u.Points["1"]) != 1 {
		t.Errorf("%+v", u)
	}
}

// All rings together are bounded too.
func TestPointsInAll(t *testing.T) {
	rg := &ring{}
	ch := &testSchema.Channels[0]
	rg.add(1, 1e6, ch, &device.Column{ID: 1, Type: device.Int, Bits: []uint64{5}}, 0)
	if more := rg.trim(1, 4, maxPointsInAll-1); more != 1 {
		t.Errorf("%d more", more)
	}
	rg.add(2, 2e6, ch, &device.Column{ID: 1, Type: device.Int, Bits: []uint64{5}}, 0)
	if more := rg.trim(2, 4, maxPointsInAll); more != -1 || rg.lost != 2 || len(rg.points) != rg.start {
		t.Errorf("%d more, %+v", more, rg)
	}
}

func TestFleet(t *testing.T) {
	r := newRig(t, "a", "b")
	d := r.connect("a", 1)
	d.send(1)
	r.ticks(4)
	w := r.watcher()
	w.subscribe("/topic/devices/*/readings")
	all := func() DevicesUpdate { t.Helper(); return decode[DevicesUpdate](t, w.one().Body) }
	if u := all(); u.Kind != "snapshot" || len(u.Devices) != 2 || u.Total != 2 || u.Devices[0].Device.Values[0].Text != "0.01" {
		t.Errorf("%+v", u)
	}
	d.send(2)
	r.ticks(1)
	if u := all(); u.Kind != "update" || len(u.Devices) != 1 || u.Devices[0].Kind != "update" || len(u.Devices[0].Points["1"]) != 1 {
		t.Errorf("%+v", u)
	}
	r.add("c")
	r.ticks(4)
	if u := all(); u.Kind != "update" || u.Devices[len(u.Devices)-1].Device.ID != "c" {
		t.Errorf("%+v", u)
	}
	c := r.device("c")
	r.ticks(4)
	w.one() // its schema
	c.send(5)
	r.ticks(1)
	if u := all(); len(u.Devices) != 1 || len(u.Devices[0].Points["1"]) != 1 {
		t.Errorf("%+v", u)
	}
	if err := r.store.RemoveDevice("b"); err != nil {
		t.Fatal(err)
	}
	r.ticks(4)
	if u := all(); u.Kind != "snapshot" || len(u.Devices) != 2 {
		t.Errorf("%+v", u)
	}
}

// After a restart the last values are there, as old as they are.
func TestRestart(t *testing.T) {
	r := newRig(t, "a", "b")
	d := r.connect("a", 1)
	d.frame(tail.Timing{}, reading{r.clock.ago(0), map[uint16]any{1: 1, 3: "auto", 4: 2.5}})
	r.pass(30 * time.Second)
	d.send(2134)
	r.stop()
	r.clock.add(time.Hour)
	epoch := r.Epoch()
	r.start()
	if r.Epoch() == epoch {
		t.Error("the same epoch")
	}
	if row := r.row("a"); row.State != StateOffline || row.Since != r.clock.millis(time.Hour) || row.Seen != row.Since || row.Firmware != "1.2" || row.Values != nil {
		t.Errorf("%+v", row)
	}
	r.learn(t.Context())
	for channel, want := range map[string]struct {
		text string
		ago  time.Duration
	}{"temperature": {"21.34", time.Hour}, "mode": {"auto", time.Hour + 30*time.Second}, "level": {"2.5", time.Hour + 30*time.Second}} {
		if v := r.valueOf("a", channel); v == nil || v.Text != want.text || v.Time != r.clock.millis(want.ago) || v.State != StateStale {
			t.Errorf("%s: %+v", channel, v)
		}
	}
	if v := r.valueOf("a", "door"); v != nil {
		t.Errorf("%+v", v)
	}
	r.is("b", StateNever)
	r.connect("a", 1).send(7)
	before := r.clock.now().Add(-time.Hour)
	if err := r.learnFrom(t.Context(), r.entries["a"], before, before); err != nil { // late: nothing older comes back
		t.Fatal(err)
	}
	r.is("a", StateLive)
	if v := r.valueOf("a", "temperature"); v.Text != "0.07" {
		t.Errorf("%+v", v)
	}
}

// After entries were overleapt, the books say what there is to know of everybody.
func TestOverleap(t *testing.T) {
	r := newRig(t, "a", "b")
	r.committed(&tail.Entry{Kind: tail.KindOverleap})
	if n := len(r.touched); n != 2 {
		t.Errorf("%d books are to be read", n)
	}
}

func TestHubState(t *testing.T) {
	r := newRig(t, "a", "b")
	d := r.connect("a", 1)
	w := r.watcher()
	w.subscribe("/topic/hub")
	u := w.one()
	h := decode[HubState](t, u.Body)
	if !u.Snapshot || h.Version != "1.0" || h.Epoch != r.Epoch() || h.Started == 0 || h.Counts.Total != 2 || h.Storage.State != "ok" ||
		h.Journal.MaxBytes != 1<<30 || h.History.MaxBytes != 1<<30 || h.Export != nil || h.Viewers != 1 || h.Alarms == nil || h.Attention == nil {
		t.Errorf("%s", u.Body)
	}
	for i := range 50 {
		d.send(i)
		r.ticks(1)
	}
	h = decode[HubState](t, w.one().Body)
	if h.Ingest.Frames != 4 || h.Ingest.Readings != 4 || h.Ingest.AckP50 <= 0 || h.Ingest.AckP99 < h.Ingest.AckP50 || h.Counts.Live != 1 {
		t.Errorf("%+v", h)
	}
	if len(h.Events) != 1 || h.Events[0].Kind != "connected" || h.Events[0].Address != "192.0.2.1:4444" {
		t.Errorf("%+v", h.Events)
	}
	r.ticks(4)
	if h = decode[HubState](t, w.one().Body); len(h.Events) != 0 {
		t.Errorf("%+v", h.Events)
	}
	for _, field := range []string{`"export":null`, `"attention":[]`, `"alarms":[]`, `"events":[]`} {
		r.ticks(4)
		if u := w.one(); !strings.Contains(string(u.Body), field) {
			t.Errorf("no %s in %s", field, u.Body)
		}
	}
}
