package journal

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is a small journal in memory, to be damaged: three segments of three
// blocks, the first two sealed.
type sample struct {
	files  map[string][]byte
	blocks []sampleBlock // in order
}

type sampleBlock struct {
	file     string
	off, end int
	first    uint64
	last     uint64
}

func newSample(t *testing.T) *sample {
	t.Helper()
	dir := t.TempDir()
	j, _ := mustOpen(t, Options{Dir: dir})
	s := &sample{files: map[string][]byte{}}
	for range 3 {
		mustRotate(t, j)
		for _, count := range []int{2, 1, 3} {
			b := sampleBlock{file: segmentName(j.active.first), off: int(j.active.end), first: j.Next()}
			b.last = mustCommit(t, j, count) - 1
			b.end = int(j.active.end)
			s.blocks = append(s.blocks, b)
		}
	}
	for _, name := range s.names() {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s.files[name] = data
	}
	return s
}

// names returns the names of the files in order.
func (s *sample) names() (names []string) {
	for _, b := range s.blocks {
		if !slices.Contains(names, b.file) {
			names = append(names, b.file)
		}
	}
	return names
}

func (s *sample) last() string { return s.blocks[len(s.blocks)-1].file }

// with returns the files of the sample, one of them replaced or, if data is
// nil, left out.
func (s *sample) with(name string, data []byte) map[string][]byte {
	files := maps.Clone(s.files)
	if data == nil {
		delete(files, name)
	} else {
		files[name] = data
	}
	return files
}

func writeFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is what must become of a damaged sample.
type outcome struct {
	read    []Gap // positions that come back
	missing []Gap // positions reported as missing for ever
	next    uint64
}

// addRange appends the range to list, merged with the last one if adjacent.
func addRange(list []Gap, first, last uint64) []Gap {
	if n := len(list); n > 0 && list[n-1].Last+1 == first {
		list[n-1].Last = last
		return list
	}
	return append(list, Gap{first, last})
}

// expect works out the outcome if exactly the blocks for which touched is true
// are lost. What is lost at the end of the last segment counts as torn, up to
// the last block whose header is left; a last file that is gone entirely
// leaves no trace, nor does a first one.
func (s *sample) expect(files map[string][]byte, touched func(b sampleBlock) bool) outcome {
	names := slices.DeleteFunc(s.names(), func(name string) bool { return files[name] == nil })
	oldest, _ := parseSegmentName(names[0])
	newest, _ := parseSegmentName(names[len(names)-1])
	var o outcome
	var torn []Gap
	for _, b := range s.blocks {
		switch {
		case files[b.file] == nil && (b.first < oldest || b.first > newest):
		case !touched(b):
			o.read = addRange(o.read, b.first, b.last)
			for _, gap := range torn {
				o.missing = addRange(o.missing, gap.First, gap.Last)
			}
			torn, o.next = nil, b.last+1
		case b.file == s.last():
			o.next = max(o.next, newest)
			if data := files[b.file]; len(data) >= b.off+blockOverhead && bytes.Equal(data[b.off:b.off+headerSize], s.files[b.file][b.off:b.off+headerSize]) {
				for _, gap := range torn {
					o.missing = addRange(o.missing, gap.First, gap.Last)
				}
				torn, o.next = nil, b.first
			}
			torn = append(torn, Gap{b.first, b.last})
		default:
			o.missing = addRange(o.missing, b.first, b.last)
			o.next = b.last + 1
		}
	}
	return o
}

// missingOf returns the positions that a list of damages says are missing.
func missingOf(damage []Damage) (list []Gap) {
	var all []Gap
	for _, d := range damage {
		if d.FirstMissing > 0 {
			all = append(all, Gap{d.FirstMissing, d.LastMissing})
		}
	}
	slices.SortFunc(all, func(a, b Gap) int { return int(a.First) - int(b.First) })
	for _, gap := range all {
		if n := len(list); n > 0 && gap.First <= list[n-1].Last {
			gap.First = list[n-1].Last + 1 // the same positions, found twice
		}
		if gap.First <= gap.Last {
			list = addRange(list, gap.First, gap.Last)
		}
	}
	return list
}

// check writes files to a folder, opens it, and compares everything with o;
// then commits a block, opens again, and compares again. It returns what was
// found the first time.
func (o outcome) check(t *testing.T, files map[string][]byte) []Damage {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, files)
	return o.checkDir(t, dir)
}

func (o outcome) checkDir(t *testing.T, dir string) (damage []Damage) {
	t.Helper()
	for round := range 2 {
		j, _, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if j.Next() != o.next {
			t.Fatalf("round %d: Next is %d, want %d; %v", round, j.Next(), o.next, j.Damage())
		}
		for _, d := range j.Damage() {
			if round == 1 && (d.Kind == TornTail || d.Kind == ForeignFile || d.Kind == MisnamedSegment) {
				t.Fatalf("still there at the second start: %+v", d)
			}
		}
		from := j.First()
		got, skipped := readAll(t, j, from)
		if diff := cmp.Diff(o.read, got); diff != "" {
			t.Fatalf("round %d: read (-want +got):\n%s%v", round, diff, j.Damage())
		}
		if diff := cmp.Diff(o.missing, missingOf(j.Damage())); diff != "" {
			t.Fatalf("round %d: missing (-want +got):\n%s%v", round, diff, j.Damage())
		}
		// A gap at the very end is skipped only once something is behind it.
		visible := slices.Clone(o.missing)
		if n := len(visible); n > 0 && visible[n-1].Last == o.next-1 {
			visible = visible[:n-1]
		}
		if !slices.Equal(visible, skipped) {
			t.Fatalf("round %d: skipped %v, want %v", round, skipped, visible)
		}
		for from++; from < o.next; from++ { // and from every other position
			readAll(t, j, from)
		}
		if round == 0 {
			damage = j.Damage()
		}
		first := j.Next()
		o.next = mustCommit(t, j, 2)
		o.read = addRange(slices.Clone(o.read), first, o.next-1)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return damage
}

// checkSetAside compares the copies kept with what the damaged files held.
func checkSetAside(t *testing.T, files map[string][]byte, damage []Damage) {
	t.Helper()
	for _, d := range damage {
		var want []byte
		switch d.Kind {
		case TornTail:
			if d.FirstMissing > 0 {
				continue // it stays where it is
			}
			want = files[d.Segment][d.Offset:]
		case DamagedBlock:
			want = files[d.Segment]
		case ForeignFile:
			want = files[d.Segment]
		default:
			if d.SetAside != "" {
				t.Fatalf("%+v", d)
			}
			continue
		}
		if got, err := os.ReadFile(d.SetAside); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%+v: set aside %d bytes, want %d; %v", d, len(got), len(want), err)
		}
	}
}
