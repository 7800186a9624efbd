package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

var damagedDevices = []string{"a", "ab", "b"}

// makeDamagedWorld makes a file whose entries stand in the index and in recent, and what it holds.
func makeDamagedWorld(t *testing.T) (w *world, file []byte) {
	t.Helper()
	w = newWorld(99)
	o := testOptions(t)
	h := mustOpen(t, o)
	for i := range 600 {
		w.frame(damagedDevices[i%3])
		if i%100 == 99 {
			w.feed(t, h, uint64(i-98), uint64(i+2))
			if err := h.Flush(true); err != nil {
				t.Fatal(err)
			}
		}
		if i == 399 {
			if err := updateIndex(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := h.size
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	return w, file[:size]
}

func updateIndex(h *History) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	return h.updateIndex()
}

// TestDamagedFile damages a real file at every kind of place. Nothing may crash or hang, nothing wrong may come back, and
// what is missing must be noticed.
func TestDamagedFile(t *testing.T) {
	w, sound := makeDamagedWorld(t)
	want := map[string][]flat{}
	for _, id := range damagedDevices {
		want[id] = w.expect(t, Query{Device: id}, 601)
	}
	const page = 4096
	rng := rand.New(rand.NewPCG(5, 5))
	var set, noticed, harmless int
	try := func(what string, b []byte) {
		t.Helper()
		o := testOptions(t)
		defer os.RemoveAll(filepath.Dir(o.Path)) // many of them
		if err := os.WriteFile(o.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		h, setAside, err := Open(o)
		if err != nil {
			t.Fatalf("%s: open: %v", what, err)
		}
		missing := false
		for _, id := range damagedDevices {
			got, err := readSome(h, Query{Device: id})
			var incomplete *IncompleteError
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.As(err, &incomplete) {
				t.Fatalf("%s: %v", what, err)
			}
			if incomplete != nil && h.Stats().Damaged == 0 {
				t.Fatalf("%s: %v, but no block is listed as damaged", what, err)
			}
			if !subsequence(got, want[id]) {
				t.Fatalf("%s: readings of %s that nobody sent", what, id)
			}
			missing = missing || err == nil && len(got) < len(want[id])
		}
		switch {
		case setAside != "":
			set++
			if kept, err := os.ReadFile(setAside); err != nil || !bytes.Equal(kept, b) {
				t.Fatalf("%s: %s has not what was found: %v", what, setAside, err)
			}
		case h.Stats().Damaged > 0 || h.file.Damaged():
			noticed++
		case h.Cursor() < 601: // bbolt has gone back a transaction, or the file was empty: the journal brings the rest again
			noticed++
		case missing:
			t.Fatalf("%s: readings are missing, and nobody noticed", what)
		default:
			harmless++
		}
		// It goes on to work, or says that it is damaged and works after being opened again.
		err = carryOn(t, w, h)
		if closeErr := h.Close(); errors.Is(err, ErrDamaged) {
			if !errors.Is(closeErr, ErrDamaged) {
				t.Fatalf("%s: damaged, but close says %v", what, closeErr)
			}
			if h, _, err = Open(o); err != nil {
				t.Fatalf("%s: open again: %v", what, err)
			}
			if err := errors.Join(carryOn(t, w, h), h.Close()); err != nil {
				t.Fatalf("%s: after opening again: %v", what, err)
			}
		} else if err != nil || closeErr != nil {
			t.Fatalf("%s: then %v, %v", what, err, closeErr)
		}
	}
	for at := 0; at < len(sound); at++ {
		if in := at % page; in < 200 && rng.IntN(100) != 0 || in >= 200 && rng.IntN(2500) != 0 {
			continue
		}
		b := bytes.Clone(sound)
		b[at] ^= 1 << rng.IntN(8)
		try(fmt.Sprintf("bit flipped in byte %d of page %d", at%page, at/page), b)
	}
	for at := 0; at < len(sound); at += page {
		if at > 3*page && rng.IntN(4) != 0 {
			continue
		}
		b := bytes.Clone(sound)
		clear(b[at : at+page])
		try(fmt.Sprintf("page %d zeroed", at/page), b)
		if at > 0 {
			try(fmt.Sprintf("cut to %d pages", at/page), sound[:at])
		}
	}
	try("cut within a page", sound[:len(sound)-1000])
	try("empty", nil)
	try("garbage", bytes.Repeat([]byte("garbage"), 5000))
	try("short", []byte("x"))
	t.Logf("%d set aside, %d noticed when read, %d harmless", set, noticed, harmless)
	if set < 10 || noticed < 10 {
		t.Errorf("only %d files were set aside, in %d damage was noticed", set, noticed)
	}
}

// carryOn adds frames far behind what the file can hold, and reads.
func carryOn(t *testing.T, w *world, h *History) error {
	for i := range uint64(20) {
		f := *w.journal[i].frame
		f.Position = 1<<40 + i
		if err := h.Add(&f); err != nil {
			return err
		}
	}
	if err := h.Flush(true); err != nil {
		return err
	}
	got, err := readSome(h, Query{Device: w.journal[0].frame.Device})
	if len(got) == 0 && !errors.Is(err, ErrDamaged) {
		t.Error("nothing of what was added comes back")
	}
	if _, incomplete := errors.AsType[*IncompleteError](err); incomplete {
		return nil
	}
	return err
}

func readSome(h *History, q Query) (out []flat, err error) {
	for r, err := range h.Readings(context.Background(), q) {
		if err != nil {
			return out, err
		}
		out = append(out, flatten(r))
	}
	return out, nil
}

// subsequence tells whether part is whole with some elements left out.
func subsequence(part, whole []flat) bool {
	for _, r := range part {
		i := slices.Index(whole, r)
		if i < 0 {
			return false
		}
		whole = whole[i+1:]
	}
	return true
}

// TestDamagedValues flips bits in the values that say where to go on: to guess would lose or repeat frames, and to begin anew would
// lose all readings. One has a copy, and the other can be made again from the blocks.
func TestDamagedValues(t *testing.T) {
	for _, bucket := range [][]byte{bucketMeta, bucketRecent} {
		for i := range 30 {
			o := testOptions(t)
			h := mustOpen(t, o)
			if err := errors.Join(h.Add(one(1, 5)), h.Flush(true)); err != nil {
				t.Fatal(err)
			}
			err := h.file.Update(func(tx *bolt.Tx) error {
				k, v := tx.Bucket(bucket).Cursor().Last()
				if i%2 == 0 && bytes.Equal(bucket, bucketMeta) {
					k, v = keyState, tx.Bucket(bucket).Get(keyState)
				}
				k, v = bytes.Clone(k), bytes.Clone(v)
				bit := i * 13 % (8 * len(v))
				v[bit/8] ^= 1 << (bit % 8)
				return tx.Bucket(bucket).Put(k, v)
			})
			if err != nil {
				t.Fatal(err)
			}
			abandon(t, h)
			h, setAside, err := Open(o)
			if err != nil || setAside != "" || h.Stats().Damaged != 0 {
				t.Fatalf("%s, flip %d: set aside %q, %v", bucket, i, setAside, err)
			}
			if err := errors.Join(h.Add(one(1, 5)), h.Add(one(2, 6))); err != nil { // the first is there
				t.Fatal(err)
			}
			if got := read(t, h, Query{Device: "d"}); len(got) != 2 {
				t.Fatalf("%s, flip %d: %v", bucket, i, got)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDirectoryInPlaceOfFile(t *testing.T) {
	o := testOptions(t)
	if err := os.MkdirAll(filepath.Join(o.Path, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	h, setAside, err := Open(o)
	if err != nil || !strings.HasPrefix(setAside, o.Path+".damaged-") {
		t.Fatalf("set aside as %q: %v", setAside, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownFormat(t *testing.T) {
	o := testOptions(t)
	h := mustOpen(t, o)
	err := h.file.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, []byte{2}) })
	if err = errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	h, setAside, err := Open(o)
	if err != nil || setAside == "" {
		t.Fatalf("set aside as %q: %v", setAside, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLockedFile(t *testing.T) {
	o := testOptions(t)
	h := mustOpen(t, o)
	if _, setAside, err := Open(o); !errors.Is(err, ErrLocked) || setAside != "" {
		t.Errorf("opened twice: %v, set aside %q", err, setAside)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamageWhileOpen has bbolt panic in a transaction: the history says so, and Close and Open make a new one.
func TestDamageWhileOpen(t *testing.T) {
	o := testOptions(t)
	h := mustOpen(t, o)
	w := newWorld(3)
	w.frame("a")
	w.feed(t, h, 1, 2)
	if err := h.file.Update(func(*bolt.Tx) error { panic("a page is wrong") }); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	_, readErr := readSome(h, Query{Device: "b"})
	for what, err := range map[string]error{"flush": h.Flush(true), "remove": h.Remove("a"), "readings": readErr, "close": h.Close()} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h = mustOpen(t, o)
	if h.Cursor() != 1 {
		t.Errorf("the new file's cursor is %d, want 1", h.Cursor())
	}
	w.feed(t, h, 1, 2)
	compare(t, "a", read(t, h, Query{Device: "a"}), w.expect(t, Query{Device: "a"}, 2))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSchemaHeals damages the only copy of a schema: its blocks can't be read, until the next one is written.
func TestSchemaHeals(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	w := newWorld(4)
	w.schemas = w.schemas[:1]
	w.frame("a")
	w.frame("a")
	w.feed(t, h, 1, 2)
	hash := w.schemas[0].hash
	err := errors.Join(h.Flush(true), h.file.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketSchemas).Put(hash[:], []byte{byte(device.TypeSchema), 0xa0})
	}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSome(h, Query{Device: "a"})
	if _, incomplete := errors.AsType[*IncompleteError](err); len(got) != 0 || h.Stats().Damaged != 1 || !incomplete {
		t.Errorf("%d readings came back without a schema, %d blocks were damaged, %v", len(got), h.Stats().Damaged, err)
	}
	w.feed(t, h, 2, 3)
	if err := h.Flush(true); err != nil {
		t.Fatal(err)
	}
	compare(t, "a", read(t, h, Query{Device: "a"}), w.expect(t, Query{Device: "a"}, 3))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzBlock changes the bytes of a block behind a checksum that is made to fit: it must be refused or decode.
func FuzzBlock(f *testing.F) {
	w := newWorld(7)
	b := newBuffer("a", &slabs{})
	var h History
	for range 10 {
		w.frame("a")
		fr := w.journal[len(w.journal)-1].frame
		b.add(mark{position: fr.Position}, format{hash: fr.SchemaHash, schema: fr.Schema, message: fr.SchemaBytes}, fr.Data)
	}
	t, err := h.take(b, true)
	if err != nil {
		f.Fatal(err)
	}
	for _, block := range t.blocks {
		f.Add(block.value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) < blockDevice {
			return
		}
		c := contents{raw: value}
		for _, s := range w.schemas {
			if c.parse(s.schema, nil) != nil {
				continue
			}
			for i := range c.data.Times {
				c.readings(c.sample(i), "a", func(Reading, error) bool { return true })
			}
		}
	})
}

// FuzzValues parses the small values of the file.
func FuzzValues(f *testing.F) {
	r := record{entry: entry{number: 7, first: -5, last: 5}, device: "a", watermark: 9, block: true}
	f.Add(r.append(nil), numberKey(7))
	f.Add(state{1, 2, 3}.append(nil), appendIndexKey(nil, "", -5, 7))
	f.Fuzz(func(t *testing.T, value, key []byte) {
		value = seal(value)
		parseState(value)
		parseIndex(key, value)
		if r, err := parseRecord(key, value); err == nil && r.block {
			again, err := parseRecord(key, r.append(nil))
			if err != nil || again != r {
				t.Errorf("%+v became %+v: %v", r, again, err)
			}
		}
	})
}
