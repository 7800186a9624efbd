package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// badDisk is a file of which some sectors cannot be read.
type badDisk struct {
	io.ReaderAt
	bad map[int64]bool // by number
}

var errSector = errors.New("bad sector")

func (d *badDisk) ReadAt(b []byte, off int64) (int, error) {
	for sector := off / sectorSize; sector <= (off+int64(len(b))-1)/sectorSize; sector++ {
		if d.bad[sector] {
			return 0, errSector
		}
	}
	return d.ReaderAt.ReadAt(b, off)
}

// TestReaderOnBadSectors has a disk that fails for a while, and one that fails
// for good.
func TestReaderOnBadSectors(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	var ends []int64
	for range 200 {
		mustCommit(t, j, 50)
		ends = append(ends, j.active.end)
	}
	// Blocks are smaller than a sector, so sectors 3 and 40 touch a few.
	var want []Gap
	for i, end := range ends {
		start := int64(0)
		if i > 0 {
			start = ends[i-1]
		}
		touched := false
		for _, sector := range []int64{3, 40} {
			touched = touched || start < (sector+1)*sectorSize && end > sector*sectorSize
		}
		if touched {
			want = addRange(want, uint64(i)*50+1, uint64(i)*50+50)
		}
	}

	r := j.Reader(1)
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	disk := &badDisk{ReaderAt: r.file, bad: map[int64]bool{3: true, 40: true}}
	r.scan.file = disk
	r.scan.drop()
	var skipped []Gap
	for failures := 0; ; {
		b, err := r.Next()
		switch {
		case err == io.EOF:
			wantRanges(t, "skipped", skipped, want...)
			wantRanges(t, "missing", missingOf(j.Damage()), want...)
			return
		case errors.Is(err, errSector):
			if failures++; failures > patience {
				t.Fatalf("failed %d times in a row", failures)
			}
		case err != nil:
			t.Fatal(err)
		default:
			if failures != 0 && failures != patience {
				t.Fatalf("gave up after %d failures", failures)
			}
			failures = 0
			if b.Skipped != (Gap{}) {
				skipped = append(skipped, b.Skipped)
			}
		}
	}
}

func TestDiskThatComesBack(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	mustCommit(t, j, 5)
	mustCommit(t, j, 5)
	r := j.Reader(1)
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	disk := &badDisk{ReaderAt: r.file, bad: map[int64]bool{0: true}}
	r.scan.file = disk
	r.scan.drop()
	for range patience {
		if _, err := r.Next(); !errors.Is(err, errSector) {
			t.Fatal(err)
		}
	}
	disk.bad = nil
	if b, err := r.Next(); err != nil || b.First != 6 || b.Skipped != (Gap{}) {
		t.Fatalf("%+v, %v", b, err)
	}
}

// TestDamageWhileOpen damages files under a running journal.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	j, _ := mustOpen(t, Options{Dir: dir})
	mustCommit(t, j, 3)  // 1 to 3
	mustRotate(t, j)     //
	mustCommit(t, j, 4)  // 4 to 7
	mustCommit(t, j, 4)  // 8 to 11
	mustRotate(t, j)     //
	mustCommit(t, j, 4)  // 12 to 15
	mustRotate(t, j)     //
	mustCommit(t, j, 4)  // 16 to 19
	mustCommit(t, j, 4)  // 20 to 23
	end := j.active.end  //
	mustCommit(t, j, 10) // 24 to 33

	r := j.Reader(1)
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, segmentName(4)), 150); err != nil { // within 8 to 11
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(12))); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteAt([]byte{0xee}, end+headerSize+3); err != nil {
		t.Fatal(err)
	}

	got, skipped := readAll(t, j, 1)
	wantRanges(t, "read", got, Gap{1, 7}, Gap{16, 23})
	wantRanges(t, "skipped", skipped, Gap{8, 15})
	mustCommit(t, j, 1)
	mustCommit(t, j, 1)
	for range 2 {
		got, skipped = readAll(t, j, 1)
		wantRanges(t, "read", got, Gap{1, 7}, Gap{16, 23}, Gap{34, 35})
		wantRanges(t, "skipped", skipped, Gap{8, 15}, Gap{24, 33})
	}
	wantRanges(t, "missing", missingOf(j.Damage()), Gap{8, 15}, Gap{24, 33})
	if n := len(j.Damage()); n != 3 {
		t.Fatalf("noted more than once: %v", j.Damage())
	}
	b, err := r.Next() // one that was in the middle of it
	if err != nil || b.First != 4 {
		t.Fatalf("%+v, %v", b, err)
	}
	if b, err = r.Next(); err != nil || b.First != 16 || b.Skipped != (Gap{8, 15}) {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestHeaderLimits(t *testing.T) {
	for name, c := range map[string]struct {
		length, count uint32
		first         uint64
		want          bool
	}{
		"block":           {100, 3, 1, true},
		"largest":         {MaxCommit, MaxCommit, maxPosition, true},
		"seal":            {0, 0, 7, true},
		"position 0":      {100, 3, 0, false},
		"position beyond": {100, 3, maxPosition + 1, false},
		"too long":        {MaxCommit + 1, 3, 1, false},
		"more than fit":   {100, 101, 1, false},
		"none":            {100, 0, 1, false},
		"no bytes":        {0, 1, 1, false},
	} {
		b := appendBlock(nil, &header{}, nil)
		binary.LittleEndian.PutUint32(b[4:], c.length)
		binary.LittleEndian.PutUint64(b[8:], c.first)
		binary.LittleEndian.PutUint32(b[16:], c.count)
		binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b[:36], castagnoli))
		h, ok := parseHeader(b)
		if ok != c.want || ok && (h.length != int(c.length) || h.count != int(c.count) || h.first != c.first) {
			t.Errorf("%s: %+v, %v", name, h, ok)
		}
	}
}

// TestMuchJunk has blocks begin at all places around the ends of the window.
func TestMuchJunk(t *testing.T) {
	block := appendBlock(nil, &header{first: 4, count: 2}, testEntries(4, 2))
	for n := windowSize - len(block) - 5; n < windowSize+5; n++ {
		file := bytes.NewReader(slices.Concat(make([]byte, n), block, make([]byte, n), block))
		var s scanner
		s.reset(file, 1)
		f, ok, err := s.next(file.Size(), 6, 0)
		if err != nil || !ok || f.off != int64(n) || f.first != 4 || f.want != 1 {
			t.Fatalf("behind %d bytes: %+v, %v, %v", n, f, ok, err)
		}
		if f, ok, err = s.next(file.Size(), 100, 0); err != nil || ok || f.from != int64(n+len(block)) || f.want != 6 {
			t.Fatalf("the same again: %+v, %v, %v", f, ok, err)
		}
		if begun, err := s.begun(file.Size()); err != nil || begun != 0 {
			t.Fatal(begun, err)
		}
	}
}

// TestMiscounted has a block that is whole but does not hold as many entries
// as it says. Nothing inside it may be taken for a block.
func TestMiscounted(t *testing.T) {
	inner := appendBlock(nil, &header{first: 1, count: 1}, AppendEntry(nil, nil))
	file := bytes.NewReader(appendBlock(nil, &header{first: 1, count: 2}, AppendEntry(nil, inner)))
	var s scanner
	s.reset(file, 1)
	if f, ok, err := s.next(file.Size(), 9, 0); ok || err != nil {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestWindow(t *testing.T) {
	data := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, 40_000)
	disk := &badDisk{ReaderAt: bytes.NewReader(data), bad: map[int64]bool{2: true}}
	w := window{file: disk, tolerant: true}
	want := bytes.Clone(data)
	clear(want[2*sectorSize : 3*sectorSize])
	for _, off := range []int64{0, 1, 4095, 8191, 8192, 12287, 12288, 70_000, 5} {
		for _, n := range []int{1, 44, 5000, windowSize, windowSize + 1, 200_000} {
			end := int64(len(data))
			b, err := w.at(off, n, end)
			if err != nil || len(b) < n || !bytes.Equal(b, want[off:off+int64(len(b))]) {
				t.Fatalf("%d bytes at %d: got %d, %v", n, off, len(b), err)
			}
		}
	}
	if b, err := w.at(100, 10, 120); err != nil || len(b) != 20 {
		t.Fatalf("got %d bytes beyond the end, %v", len(b), err)
	}
	if !w.zeroed {
		t.Fatal("nothing was unreadable")
	}
}

// TestTrimmedBetween has a segment trimmed after a reader has located it and
// before it opens the file.
func TestTrimmedBetween(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	mustCommit(t, j, 3)
	mustRotate(t, j)
	mustCommit(t, j, 3)
	r := j.Reader(1)
	s, err := j.locate(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.TrimBefore(4); err != nil {
		t.Fatal(err)
	}
	if err := r.open(s.segment); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	r.missing(s)
	var trimmed *TrimmedError
	if _, err := r.Next(); !errors.As(err, &trimmed) || len(j.Damage()) > 0 {
		t.Fatalf("%v; %v", err, j.Damage())
	}
}
