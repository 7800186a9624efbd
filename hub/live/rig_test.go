package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

var testSchema = &device.Schema{
	Channels: []device.Channel{
		{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 1000},
		{ID: 2, Name: "door", Type: device.Bool},
		{ID: 3, Name: "mode", Type: device.String},
		{ID: 4, Name: "level", Type: device.Float64, Interval: 60_000, Writable: true},
	},
	Commands: []device.CommandSpec{{Name: "reboot", Confirm: device.ConfirmTyped, Args: []device.Arg{{Name: "after", Type: device.Int, Optional: true}}}},
}

// clock is a wall clock that stands still unless it is told to move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time                { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) add(d time.Duration)           { c.at.Add(d.Microseconds()) }
func (c *clock) ago(d time.Duration) int64     { return c.at.Load() - d.Microseconds() }
func (c *clock) millis(d time.Duration) Millis { return Millis(c.ago(d) / 1000) }

// rig is a feed on a running store, with a clock and ticks of its own.
type rig struct {
	*Feed
	t     testing.TB
	clock *clock
	dir   string
	stop  func()

	devices map[string]*testDevice
}

func newRig(t testing.TB, devices ...string) *rig {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	r := &rig{t: t, clock: c, dir: t.TempDir()}
	r.start()
	t.Cleanup(func() { r.stop() })
	r.add(devices...)
	r.ticks(4)
	return r
}

// start opens the store and begins to follow it.
func (r *rig) start() {
	r.t.Helper()
	s, err := store.Open(store.Options{
		Dir: r.dir, CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Now: r.clock.now,
		JournalMaxBytes: 1 << 30, HistoryMaxBytes: 1 << 30, // whatever room the disk has
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Feed = New(Config{Store: s, Logger: slog.New(slog.DiscardHandler), Now: r.clock.now, Version: "1.0"})
	r.devices = map[string]*testDevice{}
	ctx, cancel := context.WithCancel(context.Background())
	following, stopFollowing := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := s.Run(ctx); err != nil {
			r.t.Errorf("store: %v", err)
		}
	})
	f := r.Feed
	began := make(chan struct{})
	tasks.Go(func() {
		var once sync.Once
		s.Tails.Follow(following, func(c *tail.Entry) { once.Do(func() { close(began) }); f.committed(c) })
	})
	r.stop = sync.OnceFunc(func() {
		stopFollowing()
		cancel()
		tasks.Wait()
		if err := s.Close(); err != nil {
			r.t.Errorf("close: %v", err)
		}
	})
	// Follow begins at the end of the journal as it is then: wait until it has begun.
	in := s.Ledger.Ingest("nobody", 1, func() {})
	r.eventually("the feed follows", func() bool {
		_ = in.Boot(context.Background(), 1, 0, s.Clock().Base())
		select {
		case <-began:
			return true
		default:
			return false
		}
	})
	if err := s.Ledger.Checkpoint(); err != nil { // no batch is open that began before the clock moves
		r.t.Fatal(err)
	}
}

func (r *rig) add(ids ...string) {
	r.t.Helper()
	list := make([]devices.NewDevice, len(ids))
	for i, id := range ids {
		list[i] = devices.NewDevice{ID: id, Kind: "sensor", Labels: map[string]string{"site": "here"}}
	}
	if _, err := r.store.Devices.Add(list); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) eventually(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// ticks ends ticks; the clock goes with them.
func (r *rig) ticks(n int) {
	for range n {
		r.clock.add(r.tick)
		r.advance()
	}
}

// pass lets time pass, second by second.
func (r *rig) pass(d time.Duration) {
	for range d / time.Second {
		r.ticks(int(r.second))
	}
}

func (r *rig) row(id string) Row {
	r.t.Helper()
	d, ok := r.Device(id)
	if !ok {
		r.t.Fatalf("%s is not known", id)
	}
	return d.Device
}

func (r *rig) is(id string, want State) {
	r.t.Helper()
	if row := r.row(id); row.State != want {
		r.t.Errorf("%s is %s since %d, expected %s (now %d, %+v)", id, row.State, row.Since, want, r.clock.millis(0), row.Values)
	}
}

// valueOf returns a channel's value, nil if it has none.
func (r *rig) valueOf(id, channel string) *Value {
	row := r.row(id)
	for i := range row.Values {
		if row.Values[i].Name == channel {
			return &row.Values[i]
		}
	}
	return nil
}

// testDevice is a device's way into the store, without a network.
type testDevice struct {
	*rig
	id     string
	in     *ledger.Ingest
	schema *device.Schema
	seq    uint64
}

// device connects a device.
func (r *rig) device(id string) *testDevice {
	if d := r.devices[id]; d != nil {
		return d
	}
	d := &testDevice{rig: r, id: id, in: r.store.Ledger.Ingest(id, 1, func() {}), seq: r.store.Ledger.Books(id).Frames}
	d.announce(testSchema)
	r.devices[id] = d
	return d
}

func (d *testDevice) announce(s *device.Schema) {
	message := device.AppendControl(nil, s)
	d.schema = s
	d.in.Schema(message, s)
	d.store.Devices.Note(d.id, &device.Hello{Firmware: "1.2", Model: "M", SchemaHash: device.HashSchema(message)})
}

// reading is a sample for frame: values by channel id, of which an int64, bool, float64 or string is made.
type reading struct {
	at     int64 // µs
	values map[uint16]any
}

// frame commits one frame and waits until the feed has it.
func (d *testDevice) frame(timing tail.Timing, samples ...reading) {
	d.t.Helper()
	d.seq++
	data := &device.Data{Seq: d.seq}
	for i := range d.schema.Channels {
		ch := &d.schema.Channels[i]
		col := device.Column{ID: ch.ID, Type: ch.Type}
		any := false
		for _, s := range samples {
			v, ok := s.values[ch.ID]
			any = any || ok
			col.Present = append(col.Present, ok)
			switch v := v.(type) {
			case int:
				col.Bits = append(col.Bits, uint64(v))
			case float64:
				col.Bits = append(col.Bits, device.Value{Type: device.Float64, Bits: bitsOf(v)}.Bits)
			case bool:
				col.Bits = append(col.Bits, map[bool]uint64{true: 1}[v])
			case string:
				col.Text = append(col.Text, []byte(v))
			case nil:
				if ch.Type == device.String {
					col.Text = append(col.Text, nil)
				} else {
					col.Bits = append(col.Bits, 0)
				}
			}
		}
		if any {
			data.Columns = append(data.Columns, col)
		}
	}
	for _, s := range samples {
		data.Times = append(data.Times, s.at)
	}
	message, err := device.AppendData(nil, data, d.schema)
	if err != nil {
		d.t.Fatal(err)
	}
	before := d.frames()
	if err := d.in.Frame(context.Background(), message, data, timing); err != nil {
		d.t.Fatal(err)
	}
	d.eventually("the frame is known", func() bool { return d.frames() > before })
}

func (r *rig) frames() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rates.frames
}

// send commits a temperature of this moment.
func (d *testDevice) send(temperature int) {
	d.t.Helper()
	d.frame(tail.Timing{Quality: tail.QualityDevice}, reading{d.clock.ago(0), map[uint16]any{1: temperature}})
}

// connect is send and what the hub tells of a new connection.
func (r *rig) connect(id string, connection uint64) *testDevice {
	r.Connected(id, connection, "192.0.2.1:4444")
	return r.device(id)
}

func pointOf(ms int64, v float64) Point {
	return Point{Millis(ms), device.Value{Type: device.Float64, Bits: math.Float64bits(v)}}
}

func (p Point) number() float64 {
	v, _ := p.Value.Float()
	return v
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Points) UnmarshalJSON(b []byte) error {
	var pairs [][2]*float64
	if err := json.Unmarshal(b, &pairs); err != nil {
		return err
	}
	for _, pair := range pairs {
		value := math.NaN()
		if pair[1] != nil {
			value = *pair[1]
		}
		*p = append(*p, pointOf(int64(*pair[0]), value))
	}
	return nil
}

func decode[T any](t testing.TB, b []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}
