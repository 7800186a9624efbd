package history

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// entryOfJournal is what a test's journal holds at a position.
type entryOfJournal struct {
	frame  *Frame // nil: nothing for the history
	forget string // the device to be removed
}

// world is a journal, and what the history ought to answer.
type world struct {
	rng     *rand.Rand
	schemas []testSchema
	journal []entryOfJournal // position 1 is at index 0
	clocks  map[string]int64
	sent    map[string]int // frames
}

type testSchema struct {
	schema  *device.Schema
	hash    device.Hash
	message []byte
}

func makeSchema(channels ...device.Channel) testSchema {
	s := &device.Schema{Channels: channels}
	message := device.AppendControl(nil, s)
	return testSchema{schema: s, hash: device.HashSchema(message), message: message}
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), clocks: map[string]int64{}, sent: map[string]int{}}
	all := []device.Channel{
		{ID: 0, Name: "on", Type: device.Bool},
		{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
		{ID: 2, Name: "level", Type: device.Float32},
		{ID: 3, Name: "power", Type: device.Float64},
		{ID: 9, Name: "state", Type: device.String},
		{ID: 300, Name: "count", Type: device.Int},
	}
	w.schemas = []testSchema{makeSchema(all...), makeSchema(all[1:4]...), makeSchema(all[1]), makeSchema(all[4])}
	return w
}

// frame appends a random frame of the device to the journal.
func (w *world) frame(deviceID string) {
	r := w.rng
	s := w.schemas[r.IntN(len(w.schemas))]
	if r.IntN(20) != 0 {
		s = w.schemas[len(deviceID)%len(w.schemas)]
	}
	d := &device.Data{Seq: uint64(len(w.journal) + 1)}
	d.Times = w.times(deviceID)
	for _, ch := range s.schema.Channels {
		if len(s.schema.Channels) > 1 && r.IntN(4) == 0 {
			continue
		}
		d.Columns = append(d.Columns, w.column(ch, len(d.Times)))
	}
	if len(d.Columns) == 0 {
		d.Columns = append(d.Columns, w.column(s.schema.Channels[0], len(d.Times)))
	}
	data, err := device.AppendData(nil, d, s.schema)
	if err != nil { // too long
		w.frame(deviceID)
		return
	}
	f := &Frame{
		Device: deviceID, Schema: s.schema, SchemaHash: s.hash, SchemaBytes: s.message, Data: data,
		Received: time.UnixMilli(1_700_000_000_000 + int64(len(w.journal))*37),
	}
	if r.IntN(30) == 0 {
		f.Quality = tail.Quality(r.IntN(4))
	}
	if r.IntN(3) == 0 {
		f.Offset = r.Int64N(1e12) - 5e11
	}
	w.push(entryOfJournal{frame: f})
}

func (w *world) push(e entryOfJournal) {
	w.journal = append(w.journal, e)
	if e.frame != nil {
		e.frame.Position = uint64(len(w.journal))
	}
}

// times makes the times of a frame: mostly going on, sometimes repeated, back, before 1970, or at the edge of what there is.
func (w *world) times(deviceID string) []int64 {
	r := w.rng
	n := 1
	switch r.IntN(10) {
	case 0:
		n = 1 + r.IntN(60)
	case 1:
		if r.IntN(40) == 0 {
			n = device.MaxSamples - r.IntN(3)
		}
	}
	t := w.clocks[deviceID]
	if t == 0 {
		t = 1_600_000_000_000_000
	}
	live := t
	switch r.IntN(12) {
	case 0: // backlog
		t -= 3600_000_000 - int64(len(w.journal))*1000
	case 1:
		t -= r.Int64N(1e7)
	case 2:
		t = -r.Int64N(1e15)
	case 3:
		if r.IntN(10) == 0 {
			t = math.MaxInt64 - r.Int64N(1e6) - 2e9*int64(n)
		}
	}
	times := make([]int64, n)
	for i := range times {
		times[i] = t
		switch r.IntN(8) {
		case 0:
		case 1:
			t -= r.Int64N(2e6)
		default:
			t += 1000 * (1 + r.Int64N(1e3))
		}
	}
	if t > live && t < live+1e12 {
		w.clocks[deviceID] = t
	} else {
		w.clocks[deviceID] = live + 1e6
	}
	return times
}

func (w *world) column(ch device.Channel, n int) device.Column {
	r := w.rng
	c := device.Column{ID: ch.ID, Type: ch.Type}
	if ch.Type == device.String {
		c.Text = make([][]byte, n)
	} else {
		c.Bits = make([]uint64, n)
	}
	odds := []int{0, 0, 0, 30, 100}[r.IntN(5)] // per cent absent
	if odds > 0 {
		c.Present = make([]bool, n)
	}
	for i := range n {
		if odds > 0 {
			c.Present[i] = r.IntN(100) >= odds
			if !c.Present[i] {
				continue
			}
		}
		switch ch.Type {
		case device.Bool:
			c.Bits[i] = r.Uint64N(2)
		case device.Int:
			c.Bits[i] = uint64(2000 + r.Int64N(100))
			if r.IntN(20) == 0 {
				c.Bits[i] = r.Uint64()
			}
		case device.Float32:
			c.Bits[i] = math.Float64bits(float64(float32(r.Float64())))
		case device.Float64:
			c.Bits[i] = math.Float64bits([]float64{r.Float64(), math.NaN(), math.Inf(1), math.Inf(-1)}[max(0, r.IntN(40)-36)])
		case device.String:
			c.Text[i] = []byte("héllo world"[:[]int{0, 1, 3, 12}[r.IntN(4)]])
		}
	}
	return c
}

// flat is a reading as a test compares it: floats by their bits, so that NaN equals itself.
type flat struct {
	time     int64
	channel  string
	value    device.Value
	quality  tail.Quality
	received int64
}

func flatten(r Reading) flat {
	return flat{r.Time.UnixMicro(), r.Channel.Name, r.Value, r.Quality, r.Received.UnixMilli()}
}

// expect is what the journal up to but not including position end says about the device, by a plain stable sort.
func (w *world) expect(t testing.TB, q Query, end uint64) []flat {
	t.Helper()
	type sample struct {
		time int64
		all  []flat
	}
	var samples []sample
	for _, e := range w.journal[:end-1] {
		if e.forget == q.Device && e.forget != "" {
			samples = nil
		}
		f := e.frame
		if f == nil || f.Device != q.Device {
			continue
		}
		var d device.Data
		if err := device.ParseData(f.Data, f.Schema, &d); err != nil {
			t.Fatal(err)
		}
		for i := range d.Times {
			s := sample{time: shift(d.Times[i], f.Offset)}
			at := device.Moment(s.time)
			for j := range d.Columns {
				ch, _ := f.Schema.Channel(d.Columns[j].ID)
				v, ok := d.Columns[j].Value(i, ch)
				if !ok || len(q.Channels) > 0 && !slices.Contains(q.Channels, ch.Name) ||
					!q.From.IsZero() && at.Before(q.From) || !q.To.IsZero() && !at.Before(q.To) {
					continue
				}
				s.all = append(s.all, flat{at.UnixMicro(), ch.Name, v, f.Quality, f.Received.UnixMilli()})
			}
			samples = append(samples, s)
		}
	}
	slices.SortStableFunc(samples, func(a, b sample) int { return cmp.Compare(a.time, b.time) })
	var out []flat
	for _, s := range samples {
		out = append(out, s.all...)
	}
	return out
}

func read(t testing.TB, h *History, q Query) []flat {
	t.Helper()
	var out []flat
	for r, err := range h.Readings(context.Background(), q) {
		if err != nil {
			t.Fatalf("readings of %s: %v", q.Device, err)
		}
		if r.Device != q.Device {
			t.Fatalf("a reading of %s among those of %s", r.Device, q.Device)
		}
		out = append(out, flatten(r))
	}
	return out
}

func compare(t testing.TB, what string, got, want []flat) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: reading %d of %d is\n%+v, want\n%+v", what, i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d readings, want %d", what, len(got), len(want))
	}
}

// feed brings the history from position next up to but not including end, as the journal's tail does.
func (w *world) feed(t testing.TB, h *History, next, end uint64) {
	t.Helper()
	for ; next < end; next++ {
		switch e := w.journal[next-1]; {
		case e.frame != nil:
			if err := h.Add(e.frame); err != nil {
				t.Fatal(err)
			}
		default:
			if e.forget != "" {
				if err := h.Remove(e.forget); err != nil {
					t.Fatal(err)
				}
			}
			h.SkipTo(next + 1)
		}
	}
}

// repeat brings frames that the history already has.
func (w *world) repeat(t testing.TB, h *History, end uint64) {
	t.Helper()
	for next := end - 1; next >= h.Cursor() && w.journal[next-1].forget == ""; next-- {
		w.feed(t, h, next, next+1)
	}
}

func (w *world) compareAll(t testing.TB, h *History, devices []string, end uint64) {
	t.Helper()
	for _, id := range devices {
		compare(t, id, read(t, h, Query{Device: id}), w.expect(t, Query{Device: id}, end))
		q := Query{Device: id, Channels: []string{"temperature"}}
		compare(t, id+" temperature", read(t, h, q), w.expect(t, q, end))
		all := w.expect(t, Query{Device: id}, end)
		if len(all) == 0 {
			continue
		}
		a, b := all[w.rng.IntN(len(all))].time, all[w.rng.IntN(len(all))].time
		q = Query{Device: id, From: time.UnixMicro(min(a, b)), To: time.UnixMicro(max(a, b))}
		compare(t, id+" in a range", read(t, h, q), w.expect(t, q, end))
		q.From, q.To = q.From.Add(time.Nanosecond), q.To.Add(time.Nanosecond)
		compare(t, id+" a ns later", read(t, h, q), w.expect(t, q, end))
	}
}

func testOptions(t testing.TB) Options {
	return Options{Path: filepath.Join(t.TempDir(), "history.db"), Logger: slog.New(slog.DiscardHandler)}
}

func mustOpen(t testing.TB, o Options) *History {
	t.Helper()
	h, setAside, err := Open(o)
	if err != nil || setAside != "" {
		t.Fatalf("open: %v, set aside %q", err, setAside)
	}
	return h
}
