package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testTime is the commit time of the block that begins at a position.
func testTime(first uint64) time.Time { return time.UnixMicro(1_700_000_000_000_000 + int64(first)) }

// testEntry is the entry that belongs at a position. Lengths differ, one in
// seven is empty.
func testEntry(position uint64) []byte {
	if position%7 == 0 {
		return nil
	}
	return fmt.Appendf(nil, "entry %d%s", position, "....."[:position%6])
}

// testEntries is what a commit of count entries from first on takes.
func testEntries(first uint64, count int) []byte {
	var entries []byte
	for i := range uint64(count) {
		entries = AppendEntry(entries, testEntry(first+i))
	}
	return entries
}

func mustOpen(t testing.TB, o Options) (*Journal, []Damage) {
	t.Helper()
	j, report, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, report.Damage
}

// mustCommit commits count entries and returns the position after them.
func mustCommit(t testing.TB, j *Journal, count int) uint64 {
	t.Helper()
	want := j.Next()
	first, err := j.Commit(testEntries(want, count), count, testTime(want))
	if err != nil {
		t.Fatal(err)
	}
	if first != want || j.Next() != want+uint64(count) {
		t.Fatalf("Commit at %d returned %d, and Next is %d", want, first, j.Next())
	}
	checkFiles(t, j)
	return j.Next()
}

// checkFiles compares the list of segments with the files that are there.
func checkFiles(t testing.TB, j *Journal) {
	t.Helper()
	segments := j.Segments()
	for i, s := range segments {
		if i > 0 && (s.First < segments[i-1].Next || s.First == segments[i-1].First) || s.Next < s.First {
			t.Fatalf("segments overlap: %v", segments)
		}
	}
	last := segments[len(segments)-1]
	info, err := os.Stat(filepath.Join(j.dir, segmentName(last.First)))
	if err != nil || info.Size() != last.Bytes {
		t.Fatalf("the file of %+v has %d bytes, %v", last, info.Size(), err)
	}
}

func mustRotate(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
}

// readAll reads from a position to the end, checks every entry, and returns
// the ranges of positions that came, and those that were reported skipped.
func readAll(t testing.TB, j *Journal, from uint64) (got, skipped []Gap) {
	t.Helper()
	r := j.Reader(from)
	defer r.Close()
	for expect := from; ; {
		b, err := r.Next()
		if err == io.EOF {
			return got, skipped
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Skipped != (Gap{}) {
			if b.Skipped.First != expect || b.Skipped.Last != b.First-1 {
				t.Fatalf("at %d: skipped %v before block %d", expect, b.Skipped, b.First)
			}
			skipped = append(skipped, b.Skipped)
			expect = b.First
		}
		if b.First != expect || b.Count < 1 {
			t.Fatalf("at %d: block from %d with %d entries", expect, b.First, b.Count)
		}
		for position, entry := range b.Entries() {
			if position != expect {
				t.Fatalf("entry at %d, want %d", position, expect)
			}
			if string(entry) != string(testEntry(position)) {
				t.Fatalf("entry %d is %q", position, entry)
			}
			expect++
		}
		if expect != b.First+uint64(b.Count) {
			t.Fatalf("block from %d says %d entries, yielded up to %d", b.First, b.Count, expect)
		}
		if n := len(got); n > 0 && got[n-1].Last == b.First-1 {
			got[n-1].Last = expect - 1
		} else {
			got = append(got, Gap{b.First, expect - 1})
		}
	}
}

func wantRanges(t testing.TB, what string, got []Gap, want ...Gap) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCommitAndRead(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "journal"), SegmentBytes: 400}
	j, damage := mustOpen(t, o)
	if len(damage) > 0 || j.First() != 1 || j.Next() != 1 || j.Bytes() != 0 {
		t.Fatalf("new journal: %v, %d, %d, %d", damage, j.First(), j.Next(), j.Bytes())
	}
	for i := range 60 {
		mustCommit(t, j, 1+i%5)
	}
	last := j.Next() - 1
	for from := uint64(1); from <= last; from++ {
		got, skipped := readAll(t, j, from)
		wantRanges(t, "read", got, Gap{from, last})
		wantRanges(t, "skipped", skipped)
	}
	segments := j.Segments()
	if len(segments) < 5 {
		t.Fatalf("%d segments", len(segments))
	}

	// The same after each of several starts, which each commit a block more.
	for range 3 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j, damage = mustOpen(t, o)
		if len(damage) > 0 || j.First() != 1 || j.Next() != last+1 {
			t.Fatalf("reopened: %v, %d, %d", damage, j.First(), j.Next())
		}
		if diff := cmp.Diff(segments, j.Segments()); diff != "" {
			t.Fatalf("segments (-before +after):\n%s", diff)
		}
		last = mustCommit(t, j, 3) - 1
		got, _ := readAll(t, j, 1)
		wantRanges(t, "read", got, Gap{1, last})
		segments = j.Segments()
	}
}

func TestSegmentsSayPositionsTimesAndBytes(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	mustCommit(t, j, 4)
	mustCommit(t, j, 6)
	mustRotate(t, j)
	mustRotate(t, j) // nothing: the new segment is empty
	size := func(first uint64) int64 {
		info, err := os.Stat(filepath.Join(j.dir, segmentName(first)))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	want := []Segment{
		{First: 1, Next: 11, Bytes: size(1), Oldest: testTime(1), Newest: testTime(5)},
		{First: 11, Next: 11},
	}
	if diff := cmp.Diff(want, j.Segments()); diff != "" {
		t.Fatal(diff)
	}
	mustCommit(t, j, 1)
	if got := j.Bytes(); got != size(1)+size(11) {
		t.Fatalf("Bytes is %d, the files have %d and %d", got, size(1), size(11))
	}
}

func TestFull(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 300})
	for !j.Full() {
		mustCommit(t, j, 2)
	}
	if n := len(j.Segments()); n != 1 {
		t.Fatalf("%d segments before the first is full", n)
	}
	mustCommit(t, j, 2)
	if n := len(j.Segments()); n != 2 || j.Full() {
		t.Fatalf("%d segments after it was full; full again: %v", n, j.Full())
	}
}

func TestCommitRefuses(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	two := testEntries(1, 2)
	for name, c := range map[string]struct {
		entries []byte
		count   int
	}{
		"nothing":        {nil, 0},
		"too few":        {two, 1},
		"too many":       {two, 3},
		"cut":            {two[:len(two)-1], 2},
		"endless length": {[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 1},
		"huge length":    {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}, 1},
		"too large":      {AppendEntry(nil, make([]byte, MaxCommit)), 1},
	} {
		if _, err := j.Commit(c.entries, c.count, testTime(1)); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
	if j.Next() != 1 {
		t.Fatalf("Next is %d", j.Next())
	}
	mustCommit(t, j, 2)
}

func TestLargestCommit(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	large := AppendEntry(nil, make([]byte, MaxCommit-4))
	if len(large) != MaxCommit {
		t.Fatal(len(large))
	}
	if _, err := j.Commit(large, 1, testTime(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Commit(append(large, 0), 2, testTime(1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	b, err := j.Reader(1).Next()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range b.Entries() {
		if len(entry) != MaxCommit-4 {
			t.Fatal(len(entry))
		}
	}
}

func TestReaderFollows(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 200})
	r := j.Reader(1)
	defer r.Close()
	for i := range 100 {
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
		mustCommit(t, j, 1+i%3)
		b, err := r.Next()
		if err != nil || b.First+uint64(b.Count) != j.Next() || !b.Time.Equal(testTime(b.First)) {
			t.Fatalf("%+v, %v", b, err)
		}
	}

	// One that is ahead waits for its position.
	ahead := j.Reader(j.Next() + 3)
	defer ahead.Close()
	mustCommit(t, j, 2)
	if _, err := ahead.Next(); err != io.EOF {
		t.Fatalf("ahead of the end: %v", err)
	}
	mustCommit(t, j, 4)
	if b, err := ahead.Next(); err != nil || b.First != j.Next()-3 || b.Count != 3 || b.Skipped != (Gap{}) {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestTrim(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j, _ := mustOpen(t, o)
	var starts []uint64
	for range 5 {
		mustRotate(t, j)
		starts = append(starts, j.Next())
		mustCommit(t, j, 10)
	}
	inside := j.Reader(5) // in the first segment, its file open
	atEnd := j.Reader(10)
	for _, r := range []*Reader{inside, atEnd} {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		defer r.Close()
	}
	behind := j.Reader(3) // no file open yet

	before := j.Bytes()
	if freed, err := j.TrimBefore(starts[1] - 1); err != nil || freed != 0 || j.First() != 1 {
		t.Fatalf("trimmed %d bytes of a segment still needed, %v", freed, err)
	}
	freed, err := j.TrimBefore(starts[2] + 3)
	if err != nil || freed != before-j.Bytes() || freed == 0 || j.First() != starts[2] {
		t.Fatalf("freed %d, %v; First is %d", freed, err, j.First())
	}
	for _, r := range []*Reader{inside, behind, atEnd} {
		var trimmed *TrimmedError
		if _, err := r.Next(); !errors.As(err, &trimmed) || trimmed.First != starts[2] {
			t.Fatalf("%v", err)
		}
		if r.file != nil {
			t.Fatal("the reader keeps the trimmed file open")
		}
	}

	// The active segment stays, whatever is asked.
	if _, err := j.TrimBefore(j.Next() + 100); err != nil || j.First() != starts[4] {
		t.Fatalf("%v; First is %d", err, j.First())
	}
	mustRotate(t, j)
	if _, err := j.TrimBefore(j.Next()); err != nil || j.First() != j.Next() || j.Bytes() != 0 {
		t.Fatalf("%v; First is %d, %d bytes", err, j.First(), j.Bytes())
	}
	next := j.Next()
	j.Close()
	j, damage := mustOpen(t, o)
	if len(damage) > 0 || j.First() != next || j.Next() != next {
		t.Fatalf("reopened empty: %v, %d, %d, want %d", damage, j.First(), j.Next(), next)
	}
	mustCommit(t, j, 1)
	got, _ := readAll(t, j, next)
	wantRanges(t, "read", got, Gap{next, next})
}

func TestNextOption(t *testing.T) {
	dir := t.TempDir()
	j, damage := mustOpen(t, Options{Dir: dir, Next: 50})
	if len(damage) > 0 || j.First() != 50 || j.Next() != 50 {
		t.Fatalf("%v, %d, %d", damage, j.First(), j.Next())
	}
	mustCommit(t, j, 10)
	j.Close()
	j, damage = mustOpen(t, Options{Dir: dir, Next: 60})
	if len(damage) > 0 || j.Next() != 60 {
		t.Fatalf("%v, %d", damage, j.Next())
	}
	j.Close()

	// A cursor stands at 80: what was before it is lost.
	want := []Damage{{Segment: segmentName(60), Kind: MissingSegment, FirstMissing: 60, LastMissing: 79}}
	for range 3 {
		j, damage = mustOpen(t, Options{Dir: dir, Next: 80})
		if diff := cmp.Diff(want, damage); diff != "" || j.Next() != 80 {
			t.Fatalf("Next is %d; %s", j.Next(), diff)
		}
		j.Close()
	}
	j, _ = mustOpen(t, Options{Dir: dir, Next: 80})
	mustCommit(t, j, 10)
	j.Close()
	j, damage = mustOpen(t, Options{Dir: dir})
	if diff := cmp.Diff(want, damage); diff != "" || j.Next() != 90 {
		t.Fatalf("Next is %d; %s", j.Next(), diff)
	}
	got, skipped := readAll(t, j, 50)
	wantRanges(t, "read", got, Gap{50, 59}, Gap{80, 89})
	wantRanges(t, "skipped", skipped, Gap{60, 79})
	got, skipped = readAll(t, j, 70)
	wantRanges(t, "read", got, Gap{80, 89})
	wantRanges(t, "skipped", skipped, Gap{70, 79})
}

// TestConcurrent has one committer, readers, and a trimmer that follows them.
func TestConcurrent(t *testing.T) {
	const total = 3000
	j, _ := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 4096})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			r := j.Reader(1)
			defer r.Close()
			for expect := uint64(1); expect <= total; {
				b, err := r.Next()
				var trimmed *TrimmedError
				switch {
				case err == io.EOF:
					runtime.Gosched()
				case errors.As(err, &trimmed):
					r.Close()
					expect, r = trimmed.First, j.Reader(trimmed.First)
				case err != nil || b.First != expect || b.Skipped != Gap{}:
					t.Errorf("at %d: %+v, %v", expect, b, err)
					return
				default:
					for position, entry := range b.Entries() {
						if string(entry) != string(testEntry(position)) {
							t.Errorf("entry %d is %q", position, entry)
						}
						expect++
					}
				}
			}
		})
	}
	group.Go(func() {
		for j.First() <= total-500 {
			if next := j.Next(); next > 200 {
				if _, err := j.TrimBefore(next - 200); err != nil {
					t.Error(err)
					return
				}
			}
			j.Segments()
			j.Bytes()
		}
	})
	for j.Next() <= total {
		mustCommit(t, j, 5)
	}
	group.Wait()
	if d := j.Damage(); len(d) > 0 {
		t.Fatalf("damage: %v", d)
	}
}

func TestCommitDoesNotAllocate(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	entries := testEntries(1, 20)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := j.Commit(entries, 20, testTime(1)); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Fatalf("%v allocations per commit", n)
	}
	r := j.Reader(1)
	defer r.Close()
	if n := testing.AllocsPerRun(50, func() {
		b, err := r.Next()
		if err != nil || b.Count != 20 {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Fatalf("%v allocations per block read", n)
	}
}
