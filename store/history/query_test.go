package history

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestUnknownDevice(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	w := newWorld(1)
	w.frames(10, "device")
	w.feed(t, h, 1, w.end())
	for _, id := range []string{"", "dev", "device0", "device\x00", "other"} {
		if got := read(t, h, Query{Device: id}); len(got) != 0 {
			t.Errorf("%d readings of %q", len(got), id)
		}
	}
	if got := read(t, h, Query{Device: "device", Channels: []string{"none"}}); len(got) != 0 {
		t.Errorf("%d readings of an unknown channel", len(got))
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readSome(h, Query{Device: "device"}); err == nil {
		t.Error("a closed history can be read")
	}
}

// one makes a frame of one Int sample at each of the times.
func one(position uint64, times ...int64) *Frame {
	s := makeSchema(device.Channel{ID: 1, Name: "n", Type: device.Int})
	d := device.Data{Seq: 1, Times: times, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: make([]uint64, len(times))}}}
	for i := range times {
		d.Columns[0].Bits[i] = position*10_000 + uint64(i)
	}
	data, err := device.AppendData(nil, &d, s.schema)
	if err != nil {
		panic(err)
	}
	return &Frame{Position: position, Device: "d", Schema: s.schema, SchemaHash: s.hash, SchemaBytes: s.message, Data: data}
}

func TestBounds(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	const low, high = device.MinTime, device.MaxTime
	for i, at := range []int64{math.MinInt64, low, low + 1, -1, 0, 1, 1000, high - 1, high, math.MaxInt64} {
		if err := h.Add(one(uint64(i+1), at)); err != nil {
			t.Fatal(err)
		}
	}
	us, ns := time.UnixMicro, time.Nanosecond
	for _, c := range []struct {
		from, to time.Time
		want     int
	}{
		{time.Time{}, time.Time{}, 10},
		{us(low), us(high), 8}, // what lies beyond is told as of the edge
		{us(low), us(high).Add(ns), 10},
		{us(low).Add(-ns), us(low), 0},
		{us(low), us(low).Add(ns), 2},
		{us(low).Add(ns), us(low + 1).Add(ns), 1},
		{us(0), us(0), 0},
		{us(0), us(0).Add(ns), 1},
		{us(0), us(1), 1},
		{us(0).Add(ns), us(1), 0},
		{us(-1), us(2), 3},
		{us(5), us(-5), 0},
		{us(high), time.Time{}, 2},
		{us(high).Add(ns), time.Time{}, 0},
		{time.Time{}, us(low), 0},
		{time.Unix(1<<55, 0), time.Time{}, 0},
		{time.Time{}, time.Unix(-1<<55, 0), 0},
		{time.Unix(-1<<55, 0), time.Unix(1<<55, 0), 10},
	} {
		for range 2 { // from memory, then from the file
			if got := read(t, h, Query{Device: "d", From: c.from, To: c.to}); len(got) != c.want {
				t.Errorf("%d readings from %v to %v, want %d", len(got), c.from, c.to, c.want)
			}
			if err := h.Flush(true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTimesFarApart has frames whose times the codec can't put into one message, one after the other and, by the offset,
// in one frame.
func TestTimesFarApart(t *testing.T) {
	w := &world{}
	for i, times := range [][]int64{
		{math.MinInt64, math.MinInt64 + 5}, {math.MaxInt64 - 1}, {0}, {math.MinInt64}, {math.MaxInt64},
		{0, 9e18, 0, 3000}, {5, -5, math.MinInt64/2 + 1}, {1, 2, 3},
	} {
		for _, offset := range []int64{0, math.MaxInt64, math.MinInt64, 12, 1e18} {
			f := one(uint64(5*i), times...)
			f.Offset = offset
			w.push(entryOfJournal{frame: f})
		}
	}
	h := mustOpen(t, testOptions(t))
	w.feed(t, h, 1, w.end())
	want := w.expect(t, Query{Device: "d"}, w.end())
	compare(t, "in memory", read(t, h, Query{Device: "d"}), want)
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	compare(t, "in the file", read(t, h, Query{Device: "d"}), want)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEverythingOverlaps has far more overlapping blocks than a scan decodes at a time.
func TestEverythingOverlaps(t *testing.T) {
	w := &world{}
	h := mustOpen(t, testOptions(t))
	for i := range int64(5 * maxLoaded) {
		w.push(entryOfJournal{frame: one(0, i, 1_000_000-i*i, 500_000, 2_000_000, i*7919%1000)})
		w.feed(t, h, w.end()-1, w.end())
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, "d", read(t, h, Query{Device: "d"}), w.expect(t, Query{Device: "d"}, w.end()))
	if s := newScan(h, Query{Device: "d"}); s == nil {
		t.Error("no scan")
	} else if err := s.run(t.Context(), func(Reading, error) bool { return s.loaded <= maxLoaded }); err != nil {
		t.Errorf("%d blocks decoded at a time: %v", s.loaded, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReaderStops(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	w := newWorld(2)
	w.frames(200, "a")
	w.feed(t, h, 1, w.end())
	n := 0
	for _, err := range h.Readings(t.Context(), Query{Device: "a"}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 10 {
			break
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	reason := errors.New("the viewer left")
	n = 0
	var last error
	for _, err := range h.Readings(ctx, Query{Device: "a"}) {
		if last = err; err == nil {
			n++
		}
		cancel(reason)
	}
	if !errors.Is(last, reason) || n == len(w.expect(t, Query{Device: "a"}, w.end())) {
		t.Errorf("after %d readings: %v", n, last)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestScanSeesOneMoment writes all there is after the first reading, and more, and brings the index up to date.
func TestScanSeesOneMoment(t *testing.T) {
	w := newWorld(14)
	w.frames(400, "a")
	h := mustOpen(t, testOptions(t))
	const inIndex, inRecent, inMemory = walkFound + 50, walkFound + 60, walkFound + 90 // one walk is not enough
	for end := uint64(2); end <= inRecent; end++ {
		w.feed(t, h, end-1, end)
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
		if end == inIndex {
			if err := updateIndex(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.feed(t, h, inRecent, inMemory)
	var got []flat
	for r, err := range h.Readings(t.Context(), Query{Device: "a"}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, flatten(r)); len(got) > 1 {
			continue
		}
		w.feed(t, h, inMemory, w.end())
		if err := errors.Join(h.Flush(true), updateIndex(h)); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, "a", got, w.expect(t, Query{Device: "a"}, inMemory))
	compare(t, "a again", read(t, h, Query{Device: "a"}), w.expect(t, Query{Device: "a"}, w.end()))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMillionReadings reads a million readings in constant memory, writing being possible meanwhile.
func TestMillionReadings(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	f := newFleet(1)
	const frames = 340_000
	for range frames {
		if err := h.Add(f.next()); err != nil {
			t.Fatal(err)
		}
	}
	before := heapInUse()
	var highest int64
	n, last := 0, int64(math.MinInt64)
	for r, err := range h.Readings(t.Context(), Query{Device: f.names[0]}) {
		if err != nil {
			t.Fatal(err)
		}
		if at := r.Time.UnixMicro(); at < last {
			t.Fatalf("reading %d goes back in time", n)
		} else {
			last = at
		}
		if n++; n%200_000 == 0 {
			highest = max(highest, heapInUse()-before)
			if err := h.Add(f.next()); err != nil {
				t.Fatal(err)
			}
			if err := h.Flush(true); err != nil { // a transaction of the reader would not let the file grow
				t.Fatal(err)
			}
		}
	}
	if n != 3*frames {
		t.Errorf("%d readings, want %d", n, 3*frames)
	}
	if highest > 4<<20 {
		t.Errorf("reading took %d bytes", highest)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadWhileWriting reads all the time while frames are written, the index is brought up to date and a device is removed.
func TestReadWhileWriting(t *testing.T) {
	o := testOptions(t)
	o.MaxBytes = 16 << 20
	h := mustOpen(t, o)
	f := newFleet(4)
	const rounds = 12_000
	done := make(chan struct{})
	var readers sync.WaitGroup
	for _, id := range f.names[:3] {
		readers.Go(func() {
			seen := 0
			for finished := false; !finished; {
				select {
				case <-done:
					finished = true
				default:
				}
				n, last := 0, int64(0)
				for r, err := range h.Readings(context.Background(), Query{Device: id, Channels: []string{"co2"}}) {
					if err != nil {
						t.Errorf("%s: %v", id, err)
						return
					}
					if at := r.Time.UnixMicro(); at <= last {
						t.Errorf("%s: time %d after %d", id, at, last)
						return
					} else {
						last = at
					}
					n++
				}
				if n < seen {
					t.Errorf("%s: %d readings, there have been %d", id, n, seen)
					return
				}
				seen = n
				h.Stats()
			}
			if seen != rounds {
				t.Errorf("%s: %d readings at the end, want %d", id, seen, rounds)
			}
		})
	}
	err := func() error {
		for i := range rounds * len(f.names) {
			if err := h.Add(f.next()); err != nil {
				return err
			}
			if i%8000 == 0 {
				if err := errors.Join(h.Flush(true), h.Remove(f.names[3])); err != nil {
					return err
				}
			}
			if i%20_000 == 0 {
				if err := updateIndex(h); err != nil {
					return err
				}
			}
		}
		return nil
	}()
	close(done)
	readers.Wait()
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	if n := h.Stats().Damaged; n != 0 {
		t.Errorf("%d blocks are counted as damaged", n)
	}
}

// A frame that can't be decoded does not get into the journal. If one does, it holds no other up.
func TestUndecodableFrames(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	for i, change := range []func(*Frame){
		func(*Frame) {},
		func(f *Frame) { f.Data = []byte("?") },
		func(f *Frame) { f.Data = f.Data[:len(f.Data)-1] },
		func(*Frame) {},
	} {
		f := one(uint64(i+1), 7)
		change(f)
		if err := h.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range h.Readings(t.Context(), Query{Device: one(1, 7).Device}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 || h.Cursor() != 5 {
		t.Errorf("%d readings, cursor %d", n, h.Cursor())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAddRefuses(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	for name, change := range map[string]func(*Frame){
		"no position":    func(f *Frame) { f.Position = 0 },
		"no device":      func(f *Frame) { f.Device = "" },
		"zero in device": func(f *Frame) { f.Device = "a\x00b" },
		"wrong hash":     func(f *Frame) { f.SchemaHash[0]++ },
	} {
		f := one(1, 7)
		change(f)
		if err := h.Add(f); err == nil && f.Position != 0 {
			t.Errorf("%s: taken", name)
		}
	}
	if s := h.Stats(); s.Buffered != 0 {
		t.Errorf("%d bytes in memory", s.Buffered)
	}
	if err := h.Add(one(1, 7)); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"add": h.Add(one(2, 7)), "flush": h.Flush(true), "remove": h.Remove("d")} {
		if err == nil {
			t.Errorf("%s: no error after Close", what)
		}
	}
	if err := h.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// TestCursor follows the cursor through what the tail does.
func TestCursor(t *testing.T) {
	o := testOptions(t)
	now := time.Unix(1_700_000_000, 0)
	o.Now = func() time.Time { return now }
	h := mustOpen(t, o)
	want := func(cursor uint64) {
		t.Helper()
		if c := h.Cursor(); c != cursor {
			t.Fatalf("cursor %d, want %d", c, cursor)
		}
	}
	flush := func(all bool) {
		t.Helper()
		if err := h.Flush(all); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	h.SkipTo(5)
	want(1) // the file does not know it yet
	flush(true)
	want(5)
	h.SkipTo(3)
	flush(true)
	want(5)
	if err := h.Add(one(7, 1)); err != nil {
		t.Fatal(err)
	}
	flush(false)
	want(5)
	now = now.Add(maxUnwritten)
	flush(false)
	want(8)
	h.SkipTo(20)
	flush(false)
	want(8)
	now = now.Add(maxUnwritten)
	flush(false)
	want(20)
	h = crash(t, h, &o)
	want(20)
	if err := h.Add(one(19, 1)); err != nil { // it had been skipped
		t.Fatal(err)
	}
	if n := len(read(t, h, Query{Device: "d"})); n != 1 {
		t.Errorf("%d readings, want 1", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
