package history

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// framesOf is the frames of a device as a journal has them that begins at position first. Like there, what a frame points to is
// overwritten when the next one is read.
func (w *world) framesOf(id string, first uint64) Frames {
	return func(from, to uint64) iter.Seq2[*Frame, error] {
		return func(yield func(*Frame, error) bool) {
			for i, e := range w.journal {
				position := uint64(i + 1)
				if e.frame == nil || e.frame.Device != id || position < max(from, first) || position >= to {
					continue
				}
				f := *e.frame
				f.Data = bytes.Clone(f.Data)
				if !yield(&f, nil) {
					return
				}
				for i := range f.Data {
					f.Data[i] = 0xff
				}
			}
		}
	}
}

// damageBlock flips a bit of the n-th block, and returns of which device it is.
func damageBlock(t *testing.T, h *History, n, at int) (id string) {
	t.Helper()
	err := h.file.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketBlocks).Cursor()
		k, v := c.First()
		for range n {
			k, v = c.Next()
		}
		k, v = bytes.Clone(k), bytes.Clone(v)
		id, _, _, _ = blockHead(v)
		v[at%len(v)] ^= 4
		return tx.Bucket(bucketBlocks).Put(k, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRestore damages each block in turn. What the journal still has is put back, exactly once, also after a crash; the rest stays
// known as missing.
func TestRestore(t *testing.T) {
	w := newWorld(11)
	o := testOptions(t)
	h := mustOpen(t, o)
	blocks := 0
	for i := range 300 {
		w.frame(damagedDevices[i%3])
		if i%60 == 59 {
			w.feed(t, h, uint64(i-58), uint64(i+2))
			if err := h.Flush(true); err != nil {
				t.Fatal(err)
			}
		}
		if i == 179 {
			if err := updateIndex(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	blocks = int(h.Stats().Blocks)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string][]flat{}
	for _, id := range damagedDevices {
		want[id] = w.expect(t, Query{Device: id}, w.end())
	}
	tried, rebuiltAt := 0, map[uint64]int{}
	for n := 0; n < blocks; n += 2 {
		for _, first := range []uint64{1, 100, 200} {
			o := copyOptions(t, o)
			tried++
			h := mustOpen(t, o)
			id := damageBlock(t, h, n, 20+n*37)
			abandon(t, h)
			h = mustOpen(t, o)
			what := fmt.Sprintf("block %d, of %s, the journal begins at %d", n, id, first)
			damage := h.Damage()
			if len(damage) != 1 || damage[0].Device != id || damage[0].First.IsZero() {
				t.Fatalf("%s: damage %+v", what, damage)
			}
			rebuilt, err := h.Restore(id, first, first == 1, w.framesOf(id, first))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			rebuiltAt[first] += rebuilt
			for _, again := range []bool{false, true} {
				if again {
					abandon(t, h)
					h = mustOpen(t, o)
					w.feed(t, h, h.Cursor(), w.end())
				}
				got, err := readSome(h, Query{Device: id})
				_, incomplete := errors.AsType[*IncompleteError](err)
				switch {
				case rebuilt == 1 && (err != nil || !slices.Equal(got, want[id])):
					t.Fatalf("%s: rebuilt, but %d of %d readings, %v", what, len(got), len(want[id]), err)
				case rebuilt == 0 && (!incomplete || !subsequence(got, want[id])):
					t.Fatalf("%s: not rebuilt, %d of %d readings, %v", what, len(got), len(want[id]), err)
				}
				if len(h.Damage()) != 1-rebuilt {
					t.Fatalf("%s: damage %+v", what, h.Damage())
				}
			}
			if rebuilt, err := h.Restore(id, first, first == 1, w.framesOf(id, first)); err != nil || rebuilt > 0 {
				t.Fatalf("%s: once more: %d, %v", what, rebuilt, err)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rebuiltAt[1] != tried/3 || rebuiltAt[200] == 0 || rebuiltAt[200] >= rebuiltAt[100] || rebuiltAt[100] >= tried/3 {
		t.Errorf("of %d blocks were rebuilt, by where the journal begins: %v", tried/3, rebuiltAt)
	}
}

// TestHeal: a schema that the file has lost is taken from elsewhere, and nothing is missing.
func TestHeal(t *testing.T) {
	w := newWorld(12)
	w.schemas = w.schemas[:1]
	for range 50 {
		w.frame("a")
	}
	o := testOptions(t)
	h := mustOpen(t, o)
	w.feed(t, h, 1, w.end())
	hash := w.schemas[0].hash
	err := errors.Join(h.Flush(true), h.file.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketSchemas).Put(hash[:], []byte{1}) }))
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range [][]byte{nil, w.schemas[0].message} {
		abandon(t, h)
		h = mustOpen(t, o)
		asked := 0
		for range 2 { // the second time there is nothing to do
			if err := h.Heal(func(device.Hash) []byte { asked++; return known }); err != nil {
				t.Fatal(err)
			}
		}
		if asked != 1 {
			t.Errorf("asked for the schema %d times", asked)
		}
		got, err := readSome(h, Query{Device: "a"})
		if want := w.expect(t, Query{Device: "a"}, w.end()); known != nil && (err != nil || !slices.Equal(got, want)) || known == nil && len(h.Damage()) == 0 {
			t.Errorf("%d readings of %d, %v, damage %v", len(got), len(want), err, h.Damage())
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// copyOptions is for a copy of the file.
func copyOptions(t *testing.T, o Options) Options {
	t.Helper()
	b, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	o.Path = filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(o.Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}
