package tail

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

var (
	testSchema  = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "n", Type: device.Int}}}
	testMessage = device.AppendControl(nil, testSchema)
)

// rig is a journal with its log, and what commits to it. The entry at a position is a frame whose number and value are the position.
type rig struct {
	t       testing.TB
	dir     string
	journal *journal.Journal
	sources Sources
	log     *Log
	source  *Source
}

func newRig(t testing.TB, limit int) *rig {
	r := &rig{t: t, dir: t.TempDir()}
	r.open()
	r.log.limit = limit
	t.Cleanup(func() { r.journal.Close() })
	r.source, _ = r.sources.Define(Source{Device: "a", Stream: 1, Hash: device.HashSchema(testMessage), Message: testMessage, Schema: testSchema}, 1)
	return r
}

func (r *rig) open() {
	j, _, err := journal.Open(journal.Options{Dir: r.dir, SegmentBytes: 4 << 10})
	if err != nil {
		r.t.Fatal(err)
	}
	r.journal, r.log = j, NewLog(j, &r.sources)
}

// commit commits n frames and publishes them.
func (r *rig) commit(n int) {
	first := r.journal.Next()
	entries := r.log.Buffer()
	var scratch, message []byte
	for i := range n {
		position := first + uint64(i)
		d := &device.Data{Seq: position, Times: []int64{int64(position)}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{position}}}}
		var err error
		if message, err = device.AppendData(message[:0], d, testSchema); err != nil {
			r.t.Error(err)
			return
		}
		scratch = AppendFrame(scratch[:0], r.source.Number, Timing{Offset: int64(position)}, message)
		entries = journal.AppendEntry(entries, scratch)
	}
	received := time.UnixMicro(int64(first))
	if _, err := r.journal.Commit(entries, n, received); err != nil {
		r.t.Error(err)
		return
	}
	r.log.Publish(first, n, received, entries)
}

// check compares an entry with what was committed, and returns the position behind it.
func check(e *Entry, position uint64) (next uint64, err error) {
	switch e.Kind {
	case KindFrame:
		d, err := e.Data()
		if err != nil {
			return 0, err
		}
		if e.Position != position || d.Seq != position || d.Columns[0].Bits[0] != position || e.Timing.Offset != int64(position) || e.Device != "a" {
			return 0, fmt.Errorf("at %d: %+v, %+v", position, e, d)
		}
		if e.Received.UnixMicro() > int64(position) {
			return 0, fmt.Errorf("%d was received at %v", position, e.Received)
		}
		return position + 1, nil
	case KindGap, KindOverleap:
		if e.Gap.First != position || e.Gap.Last < position || e.Position != e.Gap.Last+1 || e.Gap.Cause == "" {
			return 0, fmt.Errorf("at %d: %+v", position, e.Gap)
		}
		return e.Position, nil
	}
	return 0, fmt.Errorf("at %d: %+v", position, e)
}

// TestReaders has readers of every pace follow a journal whose old segments are damaged and trimmed meanwhile. Each gets every position
// once and in order: as an entry or in a gap.
func TestReaders(t *testing.T) {
	var kinds [KindUnreadable + 1]int
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { testReaders(t, seed, &kinds) })
	}
	if kinds[KindGap] == 0 || kinds[KindOverleap] == 0 {
		t.Errorf("%d gaps, %d overleaps", kinds[KindGap], kinds[KindOverleap])
	}
}

func testReaders(t *testing.T, seed uint64, all *[KindUnreadable + 1]int) {
	const commits = 600
	r := newRig(t, 2<<10) // a few commits
	random := rand.New(rand.NewPCG(seed, 1))
	done := make(chan struct{})
	var readers sync.WaitGroup
	kinds := make([][KindUnreadable + 1]int, 4)
	for i := range kinds {
		reader := r.log.Reader(1)
		pace := rand.New(rand.NewPCG(seed, uint64(i)+2))
		readers.Go(func() {
			defer reader.Close()
			if err := follow(reader, done, pace, i, &kinds[i]); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
			if next := r.journal.Next(); reader.Position() != next {
				t.Errorf("reader %d ended at %d, the journal at %d", i, reader.Position(), next)
			}
		})
	}
	for n := range commits {
		r.commit(1 + random.IntN(20))
		switch segments := r.journal.Segments(); {
		case len(segments) > 3 && random.IntN(10) == 0:
			r.damage(segments[random.IntN(len(segments)-1)].First, random)
		case len(segments) > 6 && random.IntN(4) == 0:
			if _, err := r.journal.TrimBefore(segments[random.IntN(4)].Next); err != nil {
				t.Error(err)
			}
		}
		if n%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	close(done)
	readers.Wait()
	for i := range kinds {
		for kind, n := range kinds[i] {
			all[kind] += n
		}
	}
	if kinds[0][KindFrame] < 2*commits {
		t.Errorf("the quickest reader got %v", kinds[0])
	}
	if len(r.log.window) != 0 || r.log.bytes != 0 {
		t.Errorf("%d blocks, %d bytes are kept for nobody", len(r.log.window), r.log.bytes)
	}
}

// follow reads until done is closed, and then what is left. The higher the number of the reader, the more often it waits.
func follow(reader *Reader, done <-chan struct{}, pace *rand.Rand, number int, kinds *[KindUnreadable + 1]int) error {
	position := uint64(1)
	for ending := false; ; {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			if ending {
				return nil
			}
			select {
			case <-reader.News():
			case <-done:
				ending = true
			}
			continue
		}
		if err != nil {
			return err
		}
		kinds[e.Kind]++
		if position, err = check(e, position); err != nil {
			return err
		}
		if pace.IntN(200) < number {
			time.Sleep(time.Duration(pace.IntN(4000*number)) * time.Microsecond)
		}
		if pace.IntN(500) == 0 && reader.Position() == position { // as one does who could not use an entry
			reader.Seek(position)
		}
	}
}

// damage changes a byte of the segment that begins at a position.
func (r *rig) damage(first uint64, random *rand.Rand) {
	file, err := os.OpenFile(filepath.Join(r.dir, fmt.Sprintf("%020d.seg", first)), os.O_RDWR, 0)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		r.t.Error(info, err)
		return
	}
	at, b := random.Int64N(info.Size()), make([]byte, 1)
	if _, err := file.ReadAt(b, at); err != nil {
		r.t.Error(err)
	}
	b[0] ^= 1 << random.IntN(8)
	if _, err := file.WriteAt(b, at); err != nil {
		r.t.Error(err)
	}
}

// TestWindowIsBounded has one reader stand still and another one follow: what is kept in memory does not grow, and the one that
// stood still misses nothing.
func TestWindowIsBounded(t *testing.T) {
	const limit = 64 << 10
	r := newRig(t, limit)
	slow, quick := r.log.Reader(1), r.log.Reader(1)
	defer slow.Close()
	defer quick.Close()
	r.commit(100)
	if _, err := slow.Next(); err != nil { // it holds the first block
		t.Fatal(err)
	}
	most := 0
	for range 200 {
		r.commit(100)
		for {
			if _, err := quick.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		r.log.mu.Lock()
		most = max(most, r.log.bytes)
		free := len(r.log.free)
		r.log.mu.Unlock()
		if most > limit || free > maxFree {
			t.Fatalf("%d bytes in the window, %d free buffers", most, free)
		}
	}
	if most < limit/2 {
		t.Errorf("the window had %d bytes at most", most)
	}
	for position := uint64(2); ; {
		e, err := slow.Next()
		if errors.Is(err, io.EOF) {
			if position != r.journal.Next() {
				t.Errorf("it ends at %d", position)
			}
			break
		}
		if err == nil {
			position, err = check(e, position)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(r.log.window) > 1 {
		t.Errorf("%d blocks are kept that all have read", len(r.log.window))
	}
}

// Nothing is kept for nobody, and what was committed without the log is read from the disk.
func TestReadersComeAndGo(t *testing.T) {
	r := newRig(t, windowBytes)
	r.commit(3)
	if len(r.log.window) != 0 {
		t.Error("a block is kept for nobody")
	}
	a := r.log.Reader(2)
	r.commit(2)
	if _, err := r.journal.Commit(journal.AppendEntry(nil, AppendDuplicates(nil, "a", 1)), 1, time.UnixMicro(1)); err != nil {
		t.Fatal(err)
	}
	r.commit(2)
	var got []uint64
	for {
		e, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Position)
	}
	if fmt.Sprint(got) != "[2 3 4 5 6 7 8]" {
		t.Errorf("read %v", got)
	}
	a.Close()
	if len(r.log.window) != 0 || len(r.log.readers) != 0 {
		t.Errorf("%d blocks, %d readers are left", len(r.log.window), len(r.log.readers))
	}
}

// After a flood the memory that it took is given back.
func TestBuffersShrink(t *testing.T) {
	r := newRig(t, windowBytes)
	reader := r.log.Reader(1)
	defer reader.Close()
	read := func() {
		for {
			if _, err := reader.Next(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := func() (n int) {
		for _, b := range r.log.free {
			n += cap(b)
		}
		return n
	}
	for range 2 * maxFree {
		r.commit(10_000)
	}
	read()
	if n := kept(); len(r.log.free) != maxFree || n < maxFree*smallBytes {
		t.Errorf("%d buffers, %d bytes are kept", len(r.log.free), n)
	}
	for range 3 {
		r.commit(10)
		read()
	}
	if n := kept(); n > maxFree*smallBytes {
		t.Errorf("%d bytes are kept when little comes", n)
	}
}

// The journal is held for the hindmost of those who say so.
func TestHold(t *testing.T) {
	r := newRig(t, windowBytes)
	a, b := r.log.Reader(1), r.log.Reader(1)
	defer a.Close()
	a.Hold(7)
	b.Hold(5)
	if held := r.log.Held(); held != 5 {
		t.Errorf("held from %d", held)
	}
	b.Close()
	if held := r.log.Held(); held != 7 {
		t.Errorf("held from %d when one has gone", held)
	}
}

// A frame whose source is not known, and an entry that is none, are said to be unreadable.
func TestUnreadableEntries(t *testing.T) {
	r := newRig(t, windowBytes)
	entries := journal.AppendEntry(nil, AppendFrame(nil, 99, Timing{}, []byte{1}))
	entries = journal.AppendEntry(entries, []byte{0xff})
	if _, err := r.journal.Commit(entries, 2, time.UnixMicro(5)); err != nil {
		t.Fatal(err)
	}
	a := r.log.Reader(1)
	defer a.Close()
	for i, want := range []error{ErrNoSource, ErrEntry} {
		e, err := a.Next()
		if err != nil || e.Kind != KindUnreadable || !errors.Is(e.Err, want) || e.Position != uint64(i)+1 || e.Received.UnixMicro() != 5 {
			t.Errorf("%+v, %v", e, err)
		}
	}
}
