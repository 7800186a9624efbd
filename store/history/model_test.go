package history

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestModel feeds random frames, flushes, reads, removes devices, closes and crashes, and compares what comes back with a
// plain slice.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(seed)
			r := w.rng
			o := testOptions(t)
			now := time.Unix(1_700_000_000, 0)
			o.Now = func() time.Time { return now }
			o.MaxBytes = 16 << 20 // brings the index up to date every 256 blocks
			h := mustOpen(t, o)
			devices := []string{"a", "ab", "a\x01", "abc", "quiet"}
			next, reached := uint64(1), uint64(1)
			for range 40 {
				for range r.IntN(120) {
					id := devices[r.IntN(len(devices)-1)]
					switch r.IntN(300) {
					case 0:
						w.push(entryOfJournal{forget: id})
					case 1, 2, 3:
						w.push(entryOfJournal{})
					case 4:
						w.frame("quiet")
					default:
						w.frame(id)
					}
				}
				end := uint64(len(w.journal) + 1)
				w.feed(t, h, next, end)
				next = end
				now = now.Add(time.Duration(r.IntN(150)) * time.Second)
				switch r.IntN(8) {
				case 0:
					if err := h.Flush(true); err != nil {
						t.Fatal(err)
					}
					if h.Cursor() != next {
						t.Fatalf("cursor %d after everything up to %d was written", h.Cursor(), next)
					}
				case 1:
					if err := h.Close(); err != nil {
						t.Fatal(err)
					}
					h = mustOpen(t, o)
				case 2:
					h = crash(t, h, &o)
					reached = max(reached, next)
					if c := h.Cursor(); c < 1 || c > next {
						t.Fatalf("cursor %d, the journal is at %d", c, next)
					}
					next = h.Cursor() // the rest comes again
					end := next + r.Uint64N(uint64(len(w.journal))+2-next)
					w.feed(t, h, next, end)
					next = end
				case 3:
					w.repeat(t, h, next)
				case 4:
					if err := write(h, h.fullNow(), false); err != nil {
						t.Fatal(err)
					}
				case 5:
					// While the journal is read again the file may be ahead.
					if next >= reached {
						w.compareAll(t, h, devices, next)
					}
				default:
					if err := h.Flush(false); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.feed(t, h, next, uint64(len(w.journal)+1))
			w.compareAll(t, h, devices, uint64(len(w.journal)+1))
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			h = mustOpen(t, o)
			w.compareAll(t, h, devices, uint64(len(w.journal)+1))
			if n := h.Stats().Damaged; n != 0 {
				t.Errorf("%d damaged blocks", n)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (h *History) fullNow() []*buffer {
	h.writing.Lock()
	defer h.writing.Unlock()
	return slices.Clone(h.full)
}

// write writes buffers that are not due, so that tests need not wait for megabytes.
func write(h *History, buffers []*buffer, all bool) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	return h.write(buffers, all)
}
