package history

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// TestMaxBytes writes many times what a small history may hold. The file stays bounded, and the newest readings are there.
func TestMaxBytes(t *testing.T) {
	o := testOptions(t)
	o.MaxBytes = 1 << 20
	now := time.UnixMicro(1_700_000_000_000_000)
	o.Now = func() time.Time { return now }
	h := mustOpen(t, o)
	f := newFleet(50)
	var raw, highest int64
	var half int64
	for raw < 8<<20 {
		for range 2000 {
			frame := f.next()
			raw += int64(len(frame.Data))
			if err := h.Add(frame); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(20 * time.Second)
		if err := h.Flush(false); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(o.Path)
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, info.Size())
		if raw < 4<<20 {
			half = highest
		}
	}
	s := h.Stats()
	if s.Bytes > o.MaxBytes*5/4 || highest > o.MaxBytes+8<<20 || highest > half {
		t.Errorf("%d bytes in use, the file has had %d, %d after half of the time; the limit is %d", s.Bytes, highest, half, o.MaxBytes)
	}
	if s.Blocks < 300 || s.Oldest.IsZero() {
		t.Errorf("%d blocks left, the oldest of %v", s.Blocks, s.Oldest)
	}
	for _, id := range f.names {
		got := read(t, h, Query{Device: id})
		if len(got) == 0 || len(got)%3 != 0 {
			t.Fatalf("%d readings of %s", len(got), id)
		}
		newest := got[len(got)-1].time
		if age := f.data.Times[0] - newest; age > 2_000_000 {
			t.Errorf("the newest reading of %s is %d µs old", id, age)
		}
		if span := newest - got[0].time; span > int64(len(got)/3)*505_000 {
			t.Errorf("%d readings of %s reach over %d µs: there is a gap", len(got), id, span)
		}
	}
	if s.Damaged+h.Stats().Damaged != 0 {
		t.Error("what retention deletes is counted as damaged")
	}
	entries := 0
	err := h.file.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketIndex).ForEach(func(k, v []byte) error { entries++; return nil })
	})
	if err != nil || entries+h.pending > 2*int(s.Blocks)+h.indexAt() {
		t.Errorf("%d entries in the index and %d pending for %d blocks: %v", entries, h.pending, s.Blocks, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMaxAge counts from receipt: data from 2015 stays as long as any.
func TestMaxAge(t *testing.T) {
	o := testOptions(t)
	o.MaxAge = time.Hour
	start := time.UnixMicro(1_700_000_000_000_000)
	now := start
	o.Now = func() time.Time { return now }
	h := mustOpen(t, o)
	f := newFleet(2)
	add := func() {
		t.Helper()
		for range 20 {
			frame := f.next()
			frame.Received = now
			frame.Offset = -8 * 365 * 24 * 3600_000_000
			if err := h.Add(frame); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
	}
	add()
	now = start.Add(50 * time.Minute)
	add()
	if n := len(read(t, h, Query{Device: f.names[0]})); n != 60 {
		t.Fatalf("%d readings, want all 60", n)
	}
	if s := h.Stats(); !s.Oldest.Equal(start) {
		t.Errorf("the oldest is from %v, want %v", s.Oldest, start)
	}
	// Nothing more comes: the clock alone does it.
	now = start.Add(61 * time.Minute)
	if err := h.Flush(false); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, h, Query{Device: f.names[0]})); n != 30 {
		t.Errorf("%d readings after an hour, want 30", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	now = start.Add(3 * time.Hour)
	h = mustOpen(t, o)
	if s := h.Stats(); s.Blocks != 0 || !s.Oldest.IsZero() {
		t.Errorf("%d blocks after being closed for long", s.Blocks)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpaceIsGivenBack lowers the limit of a large history: the file becomes small when it is opened.
func TestSpaceIsGivenBack(t *testing.T) {
	o := testOptions(t)
	h := mustOpen(t, o)
	text := makeSchema(device.Channel{ID: 1, Name: "text", Type: device.String})
	d := &device.Data{Seq: 1, Times: []int64{0}, Columns: []device.Column{{
		ID: 1, Type: device.String, Text: [][]byte{[]byte(strings.Repeat("x", device.MaxString))},
	}}}
	for range 14 {
		d.Times = append(d.Times, d.Times[len(d.Times)-1]+1)
		d.Columns[0].Text = append(d.Columns[0].Text, d.Columns[0].Text[0])
	}
	data, err := device.AppendData(nil, d, text.schema)
	if err != nil {
		t.Fatal(err)
	}
	const frames = 5000 // of 15 KiB each
	for i := range uint64(frames) {
		err := h.Add(&Frame{
			Position: i + 1, Received: time.UnixMilli(int64(i)), Device: "d", Schema: text.schema, SchemaHash: text.hash,
			SchemaBytes: text.message, Offset: int64(i) * 100, Data: data,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	o.MaxBytes = 8 << 20
	h = mustOpen(t, o)
	after, err := os.Stat(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	if before.Size() < 75<<20 || after.Size() > 24<<20 {
		t.Errorf("the file had %d bytes and has %d, the limit is %d", before.Size(), after.Size(), o.MaxBytes)
	}
	n := 0
	for r, err := range h.Readings(t.Context(), Query{Device: "d"}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 && r.Time.UnixMicro() < 100*frames/2 {
			t.Errorf("the oldest readings are still there: %v", r.Time)
		}
	}
	if n < 15*300 || n%15 != 0 {
		t.Errorf("%d readings are left", n)
	}
	if h.Cursor() != frames+1 {
		t.Errorf("cursor %d, want %d", h.Cursor(), frames+1)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUnusedSchemasGo changes the schema with every frame: what no block needs any more is deleted.
func TestUnusedSchemasGo(t *testing.T) {
	o := testOptions(t)
	o.MaxBytes = 1 << 20
	h := mustOpen(t, o)
	for i := range 3000 {
		s := makeSchema(device.Channel{ID: uint16(i), Name: strings.Repeat("n", 60), Type: device.Bool})
		d := device.Data{Seq: 1, Times: []int64{int64(i)}, Columns: []device.Column{{ID: uint16(i), Type: device.Bool, Bits: []uint64{1}}}}
		data, err := device.AppendData(nil, &d, s.schema)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Add(&Frame{
			Position: uint64(i + 1), Device: "d", Schema: s.schema, SchemaHash: s.hash, SchemaBytes: s.message, Data: data,
		})
		if err == nil && i%100 == 99 {
			err = h.Flush(true)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	blocks := h.Stats().Blocks
	n := len(read(t, h, Query{Device: "d"}))
	if err := h.Remove("d"); err != nil {
		t.Fatal(err)
	}
	if err := updateIndex(h); err != nil {
		t.Fatal(err)
	}
	schemas := 0
	err := h.file.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketSchemas).ForEach(func(k, v []byte) error { schemas++; return nil })
	})
	if err != nil || schemas != 0 {
		t.Errorf("%d schemas are left of no blocks: %v", schemas, err)
	}
	if uint64(n) != blocks || n == 0 {
		t.Errorf("%d readings of %d blocks", n, blocks)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRemove takes one device out of many.
func TestRemove(t *testing.T) {
	w := newWorld(13)
	devices := []string{"a", "ab", "b"}
	w.frames(900, devices...)
	o := testOptions(t)
	h := mustOpen(t, o)
	for p := uint64(1); p < 801; p += 20 {
		w.feed(t, h, p, p+20)
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
		if p == 401 {
			if err := updateIndex(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.feed(t, h, 801, w.end())
	before := h.Stats()
	if err := h.Remove("nobody"); err != nil {
		t.Fatal(err)
	}
	w.push(entryOfJournal{forget: "a"})
	w.feed(t, h, w.end()-1, w.end())
	if got := read(t, h, Query{Device: "a"}); len(got) != 0 {
		t.Errorf("%d readings of a removed device", len(got))
	}
	if s := h.Stats(); s.Blocks > before.Blocks*3/4 || s.Bytes >= before.Bytes || s.Damaged != 0 {
		t.Errorf("before %+v, after %+v", before, s)
	}
	w.frames(30, devices...)
	w.feed(t, h, w.end()-30, w.end())
	w.compareAll(t, h, devices, w.end())
	h = crash(t, h, &o)
	w.feed(t, h, h.Cursor(), w.end())
	w.compareAll(t, h, devices, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryIsBounded has a device change its schema with every frame, large schemas and tiny frames: what the frames in
// memory keep alive is counted.
func TestMemoryIsBounded(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	var channels []device.Channel
	for i := range uint16(200) {
		channels = append(channels, device.Channel{ID: i, Name: strings.Repeat("n", 50) + string(rune('a'+i%26)) + string(rune('a'+i/26)), Type: device.Bool})
	}
	highest := int64(0)
	for i := range 2000 {
		channels[0].Interval = uint32(i)
		s := makeSchema(append([]device.Channel(nil), channels...)...)
		d := device.Data{Seq: 1, Times: []int64{int64(i)}, Columns: []device.Column{{ID: 1, Type: device.Bool, Bits: []uint64{1}}}}
		data, err := device.AppendData(nil, &d, s.schema)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Add(&Frame{
			Position: uint64(i + 1), Device: "d", Schema: s.schema, SchemaHash: s.hash, SchemaBytes: s.message, Data: data,
		})
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, h.Stats().Buffered)
	}
	if highest > maxBuffered+1<<20 || h.Stats().Blocks == 0 {
		t.Errorf("%d bytes in memory, %d blocks in the file", highest, h.Stats().Blocks)
	}
	if n := len(read(t, h, Query{Device: "d"})); n != 2000 {
		t.Errorf("%d readings, want 2000", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFleetIsCheap feeds devices with 2 small frames a second: a thousand of them for three minutes, ten for an hour.
func TestFleetIsCheap(t *testing.T) {
	for _, c := range []struct {
		devices int
		runs    time.Duration
	}{{1000, 3 * time.Minute}, {10, time.Hour}} {
		o := testOptions(t)
		now := time.UnixMicro(1_700_000_000_000_000)
		o.Now = func() time.Time { return now }
		h := mustOpen(t, o)
		f := newFleet(c.devices)
		heapBefore := heapInUse()
		var raw, highest int64
		before := written(t)
		const tick = 5 * time.Second
		for range c.runs / tick {
			for range 2 * c.devices * int(tick/time.Second) {
				frame := f.next()
				raw += int64(len(frame.Data))
				if err := h.Add(frame); err != nil {
					t.Fatal(err)
				}
			}
			highest = max(highest, h.Stats().Buffered)
			now = now.Add(tick)
			if err := h.Flush(false); err != nil {
				t.Fatal(err)
			}
		}
		heap := heapInUse() - heapBefore
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
		perByte := float64(written(t)-before) / float64(raw)
		if perByte > 1.2 || highest > 6<<20 || heap > 10<<20 {
			t.Errorf("%d devices: %.2f bytes written per byte, %d bytes in memory at most, heap %d", c.devices, perByte, highest, heap)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRoom has others fill the disk, which deletes nothing by itself; then what is new takes the place of what is old, and the
// file does not grow.
func TestRoom(t *testing.T) {
	w := newFleet(3).world(150_000)
	h := mustOpen(t, testOptions(t))
	defer h.Close()
	h.SetRoom(1 << 30)
	w.feed(t, h, 1, 90_000)
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	before := h.Stats()
	for range 3 {
		h.SetRoom(0)
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
	}
	// A few blocks may make room for their own index.
	if s := h.Stats(); s.Blocks < before.Blocks*9/10 || s.Blocks == 0 {
		t.Errorf("%d blocks, there were %d", s.Blocks, before.Blocks)
	}
	for at := uint64(90_000); at < w.end(); at += 10_000 {
		w.feed(t, h, at, min(at+10_000, w.end()))
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
		h.SetRoom(0)
	}
	if s := h.Stats(); s.Bytes > max(before.Bytes, leastBytes)*11/10 || s.FileBytes > before.FileBytes+copySpace || !s.Oldest.After(before.Oldest) {
		t.Errorf("without room it went from %+v to %+v", before, s)
	}
	h.SetRoom(1 << 30)
	if h.limit.Load() != h.opts.MaxBytes {
		t.Errorf("with room its limit is %d", h.limit.Load())
	}
}

// TestAgeOfADamagedBlock: a damaged block is as old as the one behind it, and not deleted before what it held could be put back.
func TestAgeOfADamagedBlock(t *testing.T) {
	w := newWorld(14)
	w.frames(300, damagedDevices...)
	o := testOptions(t)
	now := w.journal[0].frame.Received.Add(time.Minute)
	o.MaxAge, o.Now = time.Hour, func() time.Time { return now }
	h := mustOpen(t, o)
	w.feed(t, h, 1, w.end())
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	blocks := h.Stats().Blocks
	for n := range 3 {
		damageBlock(t, h, n, 100)
	}
	abandon(t, h)
	h = mustOpen(t, o)
	defer func() { h.Close() }()
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Damage()); n != 3 || h.Stats().Blocks != blocks {
		t.Errorf("%d damaged blocks, want 3, of %d, want %d", n, h.Stats().Blocks, blocks)
	}
	seen := 0
	err := h.EachReceipt(func(uint64, time.Time) bool { seen++; return true })
	if err != nil || uint64(seen) != blocks-3 {
		t.Errorf("receipts of %d blocks, %v", seen, err)
	}
	now = now.Add(2 * time.Hour)
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	if n := h.Stats().Blocks; n != 0 {
		t.Errorf("%d blocks are left past their age", n)
	}
}
