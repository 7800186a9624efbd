package live

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

var benchSchema = &device.Schema{Channels: []device.Channel{
	{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 5000},
	{ID: 2, Name: "humidity", Type: device.Int, Scale: -1, Unit: "%", Interval: 5000},
	{ID: 3, Name: "co2", Type: device.Int, Unit: "[ppm]", Interval: 5000},
}}

// fleetRig is a feed with many devices, each of which has sent something.
type fleetRig struct {
	*rig
	ids       []string
	committed tail.Entry
	data      *device.Data
	next      int // device that sends next
}

func newFleetRig(b *testing.B, n int) *fleetRig {
	f := &fleetRig{rig: newRig(b)}
	for i := range n {
		f.ids = append(f.ids, fmt.Sprintf("device-%05d", i))
	}
	f.add(f.ids...)
	f.committed = tail.Entry{Kind: tail.KindFrame, Source: &tail.Source{
		Schema: benchSchema, Hash: device.HashSchema(device.AppendControl(nil, benchSchema)),
	}}
	f.data = &device.Data{Times: []int64{0}, Columns: []device.Column{
		{ID: 1, Type: device.Int, Bits: []uint64{0}}, {ID: 2, Type: device.Int, Bits: []uint64{455}}, {ID: 3, Type: device.Int, Bits: []uint64{800}},
	}}
	f.ticks(4)
	for i, id := range f.ids {
		f.Connected(id, uint64(i+1), "192.0.2.1:1")
	}
	f.frames(n)
	f.ticks(8)
	return f
}

// frames makes the next n devices send one frame each.
func (f *fleetRig) frames(n int) {
	c := &f.committed
	c.Received = f.clock.now()
	for range n {
		c.Device, f.data.Times[0] = f.ids[f.next*7919%len(f.ids)], f.clock.ago(0)
		f.data.Columns[0].Bits[0] = uint64(2000 + f.next%977)
		f.Feed.apply(c, f.data)
		f.next++
	}
}

// What a frame costs the feed: with nobody watching, and with 200 who watch the hub and 50 devices each, 20 different windows
// in all, and take four times a second at 2,000 frames a second.
func BenchmarkFrame(b *testing.B) {
	for _, viewers := range []int{0, 200} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			f := newFleetRig(b, 10_000)
			list := f.watchers(viewers, 20)
			var updates []Update
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				f.frames(1)
				if i%500 == 499 {
					f.ticks(1)
					for _, v := range list {
						updates = v.Take(updates[:0])
					}
				}
			}
		})
	}
}

// watchers are viewers who watch the hub and one of so many windows of 50 devices.
func (f *fleetRig) watchers(n, windows int) (list []*Viewer) {
	for i := range n {
		w := f.watcher()
		w.subscribe("/topic/hub")
		w.subscribe("/topic/devices", "first", fmt.Sprint(50*(i%windows)), "count", "50")
		w.Take(nil)
		list = append(list, w.Viewer)
	}
	return list
}

// What a browser with a window of 50 devices gets each second while 10,000 devices send a frame each 5 s.
func BenchmarkWindowTraffic(b *testing.B) {
	for _, sort := range []string{"id", "state", "-seen"} {
		b.Run("sort="+sort, func(b *testing.B) {
			f := newFleetRig(b, 10_000)
			w := f.watcher()
			w.subscribe("/topic/hub")
			w.subscribe("/topic/devices", "count", "50", "sort", sort)
			snapshot := 0
			for _, u := range w.Take(nil) {
				snapshot += len(u.Body)
			}
			bytes, messages, seconds := 0, 0, 0
			for b.Loop() {
				for range 4 {
					f.frames(500)
					f.ticks(1)
					for _, u := range w.Take(nil) {
						bytes += len(u.Body)
						messages++
					}
				}
				seconds++
			}
			b.ReportMetric(float64(bytes)/float64(seconds), "bytes/s")
			b.ReportMetric(float64(messages)/float64(seconds), "messages/s")
			b.ReportMetric(float64(snapshot), "snapshot-bytes")
		})
	}
}

// One tick of 200 viewers who share a window in which every device has changed.
func BenchmarkTakeShared(b *testing.B) {
	f := newFleetRig(b, 50)
	list := f.watchers(200, 1)
	var updates []Update
	b.ReportAllocs()
	for b.Loop() {
		f.frames(50)
		f.ticks(1)
		for _, v := range list {
			updates = v.Take(updates[:0])
		}
	}
}

// What ending a tick costs with 10,000 devices: three quarters do nothing but wake viewers, one quarter looks at everything.
func BenchmarkTick(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("fleet=%v", watched), func(b *testing.B) {
			f := newFleetRig(b, 10_000)
			w := f.watcher()
			if watched {
				w.subscribe("/topic/devices/*/readings")
			}
			b.ReportAllocs()
			for b.Loop() {
				f.frames(500)
				f.ticks(1)
				w.Take(nil)
			}
		})
	}
}

// How much memory the feed takes for a device with three channels and two labels: when nobody has ever looked at it, and when
// its row is at hand.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 10_000
	r := newRig(b)
	var list []devices.NewDevice
	for i := range n {
		list = append(list, devices.NewDevice{ID: fmt.Sprintf("device-%05d", i), Labels: map[string]string{"site": "north", "floor": "3"}})
	}
	s := r.store
	if _, err := s.Devices.Add(list); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r.Feed = nil // nothing but the store
		before := heap()
		f := &fleetRig{rig: r}
		r.Feed = New(Config{Store: s, Now: r.clock.now})
		for i := range list {
			f.ids = append(f.ids, list[i].ID)
		}
		f.committed = tail.Entry{Kind: tail.KindFrame, Source: &tail.Source{Schema: benchSchema, Hash: device.Hash{1}}}
		f.data = &device.Data{Times: []int64{0}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{0}}}}
		r.clock.add(time.Second)
		f.frames(n)
		f.ticks(8)
		bare := heap()
		v := r.Viewer()
		if err := v.Subscribe("", "/topic/devices", nil, nil); err != nil {
			b.Fatal(err)
		}
		v.Take(nil)
		f.ticks(1) // the body is forgotten
		b.ReportMetric(float64(bare-before)/n, "bytes/device")
		b.ReportMetric(float64(heap()-bare)/n, "bytes/row")
		v.Close()
		runtime.KeepAlive(f)
	}
}

// Learning the last values of a thousand devices from the history, as it happens once, in the background, after a start.
func BenchmarkLearn(b *testing.B) {
	r := newRig(b)
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprintf("device-%05d", i))
	}
	r.add(ids...)
	for _, id := range ids {
		d := r.device(id)
		for range 20 {
			d.seq++
			data := &device.Data{Seq: d.seq, Times: []int64{r.clock.ago(0) + int64(d.seq)*1e6}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{d.seq}}}}
			message, err := device.AppendData(nil, data, testSchema)
			if err != nil {
				b.Fatal(err)
			}
			if err := d.in.Frame(b.Context(), message, data, tail.Timing{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := r.store.Ledger.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r.learn(b.Context())
	}
}
