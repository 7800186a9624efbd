package history

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// crash goes on with a copy of the file as it is now, as after kill -9: what was only in memory is lost.
func crash(t testing.TB, h *History, o *Options) *History {
	t.Helper()
	b, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, h)
	o.Path = filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(o.Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, *o)
}

// abandon closes the file without writing what is in memory.
func abandon(t testing.TB, h *History) {
	t.Helper()
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if err := h.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// frames appends n frames, of one device after the other.
func (w *world) frames(n int, devices ...string) {
	for i := range n {
		w.frame(devices[i%len(devices)])
	}
}

// end is the position behind the last entry of the journal.
func (w *world) end() uint64 { return uint64(len(w.journal)) + 1 }

// bufferOf is the buffer of a device.
func (h *History) bufferOf(id string) []*buffer { return []*buffer{h.buffers[id]} }

// TestWatermark writes one of two devices: the other's frames hold the cursor back, so the written ones come again.
func TestWatermark(t *testing.T) {
	w := newWorld(1)
	w.frames(40, "a", "b")
	o := testOptions(t)
	h := mustOpen(t, o)
	w.feed(t, h, 1, 31)
	if err := write(h, h.bufferOf("a"), true); err != nil {
		t.Fatal(err)
	}
	if h.Cursor() != 2 {
		t.Fatalf("cursor %d, b has frames from 2", h.Cursor())
	}
	h = crash(t, h, &o)
	if h.Cursor() != 2 {
		t.Fatalf("cursor %d after the crash, want 2", h.Cursor())
	}
	w.feed(t, h, 2, w.end())
	w.compareAll(t, h, []string{"a", "b"}, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPartlyWritten writes the full blocks of a device only: the watermark ends with the last of their frames.
func TestPartlyWritten(t *testing.T) {
	f := newFleet(1)
	w := f.world(1000)
	o := testOptions(t)
	h := mustOpen(t, o)
	id := f.names[0]
	w.feed(t, h, 1, w.end())
	if err := write(h, h.bufferOf(id), false); err != nil {
		t.Fatal(err)
	}
	if b := h.buffers[id]; b.first == 0 || b.first != h.Cursor() || len(b.pending) < 5 {
		t.Fatalf("%d blocks written, the rest begins at %d, the cursor is %d", len(b.pending), b.first, h.Cursor())
	}
	compare(t, "before the crash", read(t, h, Query{Device: id}), w.expect(t, Query{Device: id}, w.end()))
	h = crash(t, h, &o)
	w.feed(t, h, h.Cursor(), w.end())
	compare(t, "after it", read(t, h, Query{Device: id}), w.expect(t, Query{Device: id}, w.end()))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBothPiles crashes after writing a device that sends backlog behind its live data: whatever is claimed to be in the
// file is in the file, of both open blocks.
func TestBothPiles(t *testing.T) {
	f := newFleet(1)
	w := f.world(400)
	for i := range w.journal {
		if i%3 == 1 {
			w.journal[i].frame.Offset = -3600_000_000
		}
	}
	o := testOptions(t)
	h := mustOpen(t, o)
	id := f.names[0]
	w.feed(t, h, 1, w.end())
	if err := write(h, h.bufferOf(id), false); err != nil {
		t.Fatal(err)
	}
	h = crash(t, h, &o)
	spans := 0
	for _, e := range h.buffers[id].pending {
		if e.last-e.first > 1800_000_000 {
			spans++
		}
	}
	if spans > 1 { // the very first backlog frame finds both open blocks empty
		t.Errorf("%d blocks reach from the backlog to the live data", spans)
	}
	w.feed(t, h, h.Cursor(), w.end())
	compare(t, id, read(t, h, Query{Device: id}), w.expect(t, Query{Device: id}, w.end()))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCommitTookPlace has a commit take place of which memory knows nothing, as after a failed fdatasync of the meta page.
func TestCommitTookPlace(t *testing.T) {
	w := newWorld(8)
	w.frames(300, "a", "b", "c")
	o := testOptions(t)
	h := mustOpen(t, o)
	w.feed(t, h, 1, 201)
	err := func() error {
		h.writing.Lock()
		defer h.writing.Unlock()
		batch := []*buffer{h.buffers["a"], h.buffers["b"]}
		for _, b := range batch {
			var err error
			if b.taken, err = h.take(b, true); err != nil {
				return err
			}
			defer func() { b.taken = nil }()
		}
		s := h.state
		s.cursor = h.cursorAfter()
		err := h.file.Update(func(tx *bolt.Tx) error {
			_, err := putBlocks(tx, batch, &s)
			return errors.Join(err, tx.Bucket(bucketMeta).Put(keyState, s.append(nil)))
		})
		failure := errors.New("input/output error")
		if err := h.update(func(*bolt.Tx) error { return failure }); !errors.Is(err, failure) {
			t.Errorf("the failure became %v", err)
		}
		return err
	}()
	if err != nil {
		t.Fatal(err)
	}
	committed := blocksOf(t, h)
	devices := []string{"a", "b", "c"}
	w.compareAll(t, h, devices, 201)
	w.feed(t, h, 201, w.end())
	w.compareAll(t, h, devices, w.end())
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	w.compareAll(t, h, devices, w.end())
	if got := blocksOf(t, h); len(got) <= len(committed) || !slices.Equal(got[:len(committed)], committed) {
		t.Error("blocks that were committed have been written again")
	}
	if s := h.Stats(); s.Buffered != 0 || h.Cursor() != w.end() {
		t.Errorf("%d bytes still in memory, cursor %d", s.Buffered, h.Cursor())
	}
	h = crash(t, h, &o)
	w.compareAll(t, h, devices, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// blocksOf returns all blocks in the file.
func blocksOf(t *testing.T, h *History) (blocks []string) {
	t.Helper()
	err := h.file.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketBlocks).ForEach(func(_, v []byte) error {
			blocks = append(blocks, string(v))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// TestFoldInterrupted crashes between the transactions that bring the index up to date.
func TestFoldInterrupted(t *testing.T) {
	devices := []string{"a", "ab", "b"}
	w := newWorld(9)
	w.frames(600, devices...)
	for step := range 4 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			o := testOptions(t)
			h := mustOpen(t, o)
			for p := uint64(1); p < 501; p += 50 {
				w.feed(t, h, p, p+50)
				if err := h.Flush(true); err != nil {
					t.Fatal(err)
				}
			}
			err := func() error {
				h.writing.Lock()
				defer h.writing.Unlock()
				var err error
				if step > 0 {
					err = h.putPending()
				}
				if step > 1 {
					schemas, sweepErr := h.cleanIndex()
					err = errors.Join(err, sweepErr)
					if step > 2 {
						err = errors.Join(err, h.finishIndex(schemas))
					}
				}
				return err
			}()
			if err != nil {
				t.Fatal(err)
			}
			w.compareAll(t, h, devices, 501)
			h = crash(t, h, &o)
			w.compareAll(t, h, devices, 501)
			w.feed(t, h, h.Cursor(), w.end())
			w.compareAll(t, h, devices, w.end())
			if err := updateIndex(h); err != nil {
				t.Fatal(err)
			}
			if h.pending != 0 {
				t.Errorf("%d entries are still pending", h.pending)
			}
			w.compareAll(t, h, devices, w.end())
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestFoldWhileRepeating brings the index up to date in the middle of what the journal brings again: the frames that are
// still to come, and are in the file already, must be recognised all the same.
func TestFoldWhileRepeating(t *testing.T) {
	w := newWorld(10)
	w.frames(100, "a", "b")
	o := testOptions(t)
	h := mustOpen(t, o)
	w.feed(t, h, 1, w.end())
	if err := write(h, h.bufferOf("a"), true); err != nil {
		t.Fatal(err)
	}
	h = crash(t, h, &o)
	w.feed(t, h, h.Cursor(), 50)
	if err := updateIndex(h); err != nil {
		t.Fatal(err)
	}
	h = crash(t, h, &o)
	if h.Cursor() != 50 {
		t.Fatalf("cursor %d, want 50", h.Cursor())
	}
	w.feed(t, h, 50, w.end())
	w.compareAll(t, h, []string{"a", "b"}, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRemoveIsRepeated reads the journal again from before a removal, after frames from behind it were written.
func TestRemoveIsRepeated(t *testing.T) {
	w := newWorld(11)
	w.frames(60, "a", "b")
	w.push(entryOfJournal{forget: "a"})
	w.frames(60, "a", "b")
	o := testOptions(t)
	h := mustOpen(t, o)
	for _, end := range []uint64{21, 41, 90, w.end()} {
		w.feed(t, h, max(h.next, 1), end)
		if err := write(h, h.bufferOf("a"), true); err != nil {
			t.Fatal(err)
		}
	}
	if h.Cursor() != 2 {
		t.Fatalf("cursor %d, want 2", h.Cursor())
	}
	w.compareAll(t, h, []string{"a", "b"}, w.end())
	h = crash(t, h, &o)
	w.feed(t, h, 2, w.end())
	w.compareAll(t, h, []string{"a", "b"}, w.end())
	h = crash(t, h, &o)
	w.feed(t, h, h.Cursor(), w.end())
	w.compareAll(t, h, []string{"a", "b"}, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull limits the size of files, in a process of its own, so that writing fails; then it lifts the limit.
func TestDiskFull(t *testing.T) {
	const variable = "HISTORY_TEST_DISK_FULL"
	if os.Getenv(variable) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		c.Env = append(os.Environ(), variable+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	setLimit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
	}
	f := newFleet(3)
	w, devices := f.world(20_000), f.names
	o := testOptions(t)
	now := time.Unix(1_700_000_000, 0)
	o.Now = func() time.Time { return now }
	h := mustOpen(t, o)
	w.feed(t, h, 1, 6001)
	setLimit(40 << 10)
	for range 3 {
		if err := h.Flush(true); err == nil {
			t.Fatal("it wrote beyond the limit")
		}
	}
	w.compareAll(t, h, devices, 6001)
	// Memory takes more than what is worth a transaction, so that it can be read. When it is full, Add refuses more, and loses
	// nothing by that.
	at := w.end() - 1
	w.feed(t, h, 6001, at)
	if h.fullSize < batchSize || h.Failing() == nil {
		t.Errorf("%d bytes are worth a block, failing: %v", h.fullSize, h.Failing())
	}
	h.buffered += maxBuffered
	if err := h.Add(w.journal[at-1].frame); err == nil {
		t.Error("it takes more than its memory for frames")
	}
	h.buffered -= maxBuffered
	w.compareAll(t, h, devices, at)
	if h.Cursor() != 1 {
		t.Errorf("cursor %d, nothing could be written", h.Cursor())
	}
	setLimit(was.Cur)
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	if h.Cursor() != at || h.Failing() != nil {
		t.Errorf("cursor %d, want %d; failing: %v", h.Cursor(), at, h.Failing())
	}
	w.feed(t, h, at, w.end())
	w.compareAll(t, h, devices, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = mustOpen(t, o)
	w.compareAll(t, h, devices, w.end())
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
