package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// repair makes blocks valid again that the fuzzer has changed: wherever the
// magic is, the checksums are computed anew. Otherwise the fuzzer would hardly
// ever get past them.
func repair(data []byte) []byte {
	data = bytes.Clone(data)
	for i := 0; i+blockOverhead <= len(data); i++ {
		if b := data[i:]; bytes.HasPrefix(b, magic) {
			binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b[:36], castagnoli))
			if n := binary.LittleEndian.Uint32(b[4:]); uint64(n) <= uint64(len(b)-blockOverhead) {
				binary.LittleEndian.PutUint32(b[headerSize+n:], crc32.Checksum(b[:headerSize+n], castagnoli))
			}
		}
	}
	return data
}

// FuzzOpen opens a folder with two arbitrary segment files. Whatever they
// hold: no panic, what is read back is consistent, a commit works, and the
// next start finds the same.
func FuzzOpen(f *testing.F) {
	block := func(first uint64, count int) []byte {
		return appendBlock(nil, &header{first: first, count: count, time: 1}, testEntries(first, count))
	}
	seal := appendBlock(nil, &header{first: 6}, nil)
	one, two := block(1, 2), block(3, 3)
	whole := append(append(append([]byte{}, one...), two...), seal...)
	f.Add(whole, block(6, 1), true)
	f.Add(whole[:len(whole)-len(seal)], block(3, 1), true)
	f.Add(whole[:len(one)+10], []byte{}, true)
	f.Add(append(append([]byte{}, one...), make([]byte, 100)...), block(6, 1)[:30], true)
	f.Add(append([]byte("junk"), whole...), block(9, 1), true)
	f.Add(block(6, 2), block(1, 2), true)
	f.Add(block(maxPosition-1, 1), block(maxPosition, 1), true)
	f.Add(appendBlock(nil, &header{first: 1, count: 3}, []byte{5, 5, 5, 5}), []byte{}, true)
	f.Add([]byte("TJB1"), whole, false)
	f.Fuzz(func(t *testing.T, a, b []byte, valid bool) {
		if valid {
			a, b = repair(a), repair(b)
		}
		dir, err := os.MkdirTemp("", "journal-fuzz-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		writeFiles(t, dir, map[string][]byte{segmentName(1): a, segmentName(6): b})
		j, _, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		before := drain(t, j)
		first, err := j.Commit(testEntries(1, 4), 4, time.UnixMicro(5))
		if err == nil {
			before += 4
		} else if !errors.Is(err, errPositions) {
			t.Fatal(err)
		}
		if n := drain(t, j); n != before {
			t.Fatalf("%d entries after a commit, want %d", n, before)
		}
		next := j.Next()
		j.Close()

		j, report, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		for _, d := range report.Damage {
			if d.Kind == ForeignFile || d.Kind == TornTail && d.FirstMissing == 0 {
				t.Fatalf("still there at the second start: %+v", d)
			}
		}
		if n := drain(t, j); n != before || j.Next() != next {
			t.Fatalf("%d entries and Next %d after a new start, want %d and %d (committed at %d)", n, j.Next(), before, next, first)
		}
		if files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix)); err != nil || len(files) > 3 {
			t.Fatalf("%v, %v", files, err)
		}
	})
}

// drain reads everything, checks that it is consistent, and returns the
// number of entries.
func drain(t *testing.T, j *Journal) (entries uint64) {
	t.Helper()
	r := j.Reader(j.First())
	defer r.Close()
	for expect := j.First(); ; {
		b, err := r.Next()
		if err == io.EOF {
			if expect > j.Next() {
				t.Fatalf("read up to %d, Next is %d", expect, j.Next())
			}
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.First != expect+b.Skipped.Count() {
			t.Fatalf("at %d: block %d, skipped %v", expect, b.First, b.Skipped)
		}
		n := uint64(0)
		for position := range b.Entries() {
			if position != b.First+n {
				t.Fatalf("entry %d of block %d has position %d", n, b.First, position)
			}
			n++
		}
		if n != uint64(b.Count) || n == 0 {
			t.Fatalf("block %d: %d entries, Count is %d", b.First, n, b.Count)
		}
		entries += n
		expect = b.First + n
	}
}
