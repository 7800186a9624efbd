package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// untouched reports whether the block's bytes are where they were.
func (b sampleBlock) untouched(s *sample, data []byte) bool {
	return len(data) >= b.end && bytes.Equal(data[b.off:b.end], s.files[b.file][b.off:b.end])
}

// checkReplaced checks the sample with the content of one file replaced.
func (s *sample) checkReplaced(t *testing.T, name string, data []byte) []Damage {
	t.Helper()
	files := s.with(name, data)
	damage := s.expect(files, func(b sampleBlock) bool { return !b.untouched(s, files[b.file]) }).check(t, files)
	checkSetAside(t, files, damage)
	return damage
}

func TestEveryByteChanged(t *testing.T) {
	t.Parallel() // most of the time is spent waiting for the disk
	s := newSample(t)
	for _, name := range s.names() {
		for i := range s.files[name] {
			data := bytes.Clone(s.files[name])
			data[i] ^= byte(1 << (i % 8))
			if damage := s.checkReplaced(t, name, data); len(damage) > 1 {
				t.Fatalf("%s, byte %d: %v", name, i, damage)
			}
		}
	}
}

func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names()[1:] { // one that is sealed, one that is not
		for i := range s.files[name] {
			damage := s.checkReplaced(t, name, bytes.Clone(s.files[name][:i]))
			boundary := i == 0 || slices.ContainsFunc(s.blocks, func(b sampleBlock) bool { return b.file == name && b.end == i })
			sealed := slices.ContainsFunc(s.blocks, func(b sampleBlock) bool { return b.file == name && b.end <= i && b.last%6 == 0 })
			want := []Kind{DamagedBlock}
			switch {
			case name == s.last() && boundary, name != s.last() && sealed:
				want = nil
			case name == s.last():
				want = []Kind{TornTail}
			case boundary:
				want = []Kind{MissingSegment}
			}
			var got []Kind
			for _, d := range damage {
				got = append(got, d.Kind)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s cut at %d: %v", name, i, damage)
			}
		}
	}
}

func TestZerosFromEveryByte(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names()[1:] { // one that is sealed, one that is not
		for i := range s.files[name] {
			data := bytes.Clone(s.files[name])
			clear(data[i:])
			if i%2 == 1 { // a file system may also have made the file longer than it was
				data = append(data, make([]byte, 5000)...)
			}
			s.checkReplaced(t, name, data)
		}
	}
}

func TestHoleOfZerosAtEveryByte(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names() {
		for _, size := range []int{16, 64, 200} {
			for i := 0; i+size <= len(s.files[name]); i += 5 {
				data := bytes.Clone(s.files[name])
				clear(data[i : i+size])
				s.checkReplaced(t, name, data)
			}
		}
	}
}

// checkShifted checks the sample with one file's blocks moved about: those
// for which lost is true are not in it any more.
func (s *sample) checkShifted(t *testing.T, name string, data []byte, lost func(b sampleBlock) bool) []Damage {
	t.Helper()
	files := s.with(name, data)
	return s.expect(files, func(b sampleBlock) bool { return b.file == name && lost(b) }).check(t, files)
}

func TestJunkInsertedAtEveryByte(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	junk := append(bytes.Repeat([]byte("TJB"), 10), "TJB1?"...)
	for _, name := range s.names()[1:] { // one that is sealed, one that is not
		for i := range len(s.files[name]) + 1 {
			data := slices.Concat(s.files[name][:i], junk, s.files[name][i:])
			// Not by chance the byte that belongs there.
			data[i] = ^data[min(i+len(junk), len(data)-1)]
			data[i+len(junk)-1] = ^data[max(i-1, 0)]
			s.checkShifted(t, name, data,
				func(b sampleBlock) bool { return b.off < i && i < b.end })
		}
	}
}

func TestTwoBlocksDamaged(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for i, a := range s.blocks {
		for _, b := range s.blocks[i+1:] {
			for _, at := range []int{9, headerSize + 2} {
				if a.file == b.file {
					data := bytes.Clone(s.files[a.file])
					data[a.off+at]++
					data[b.off+headerSize+3]++
					s.checkReplaced(t, a.file, data)
				}
			}
		}
	}
}

// TestHeaderInTornTailIsRemembered starts twice before anything is committed.
func TestHeaderInTornTailIsRemembered(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	last := s.blocks[len(s.blocks)-2:]
	data := bytes.Clone(s.files[s.last()])
	for _, b := range last {
		data[b.end-1]++
	}
	dir := t.TempDir()
	writeFiles(t, dir, s.with(s.last(), data))
	for range 3 {
		j, damage := mustOpen(t, Options{Dir: dir})
		if j.Next() != last[1].first {
			t.Fatalf("Next is %d, but the block before %d was committed", j.Next(), last[1].first)
		}
		wantRanges(t, "missing", missingOf(damage), Gap{last[0].first, last[0].last})
		j.Close()
	}
}

func TestBlockRemoved(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, gone := range s.blocks[1:] { // without the very first, the segment just begins later
		data := slices.Concat(s.files[gone.file][:gone.off], s.files[gone.file][gone.end:])
		s.checkShifted(t, gone.file, data, func(b sampleBlock) bool { return b == gone })
	}
}

func TestBlockDuplicated(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, b := range s.blocks {
		for _, name := range s.names() {
			places := []int{0, len(s.files[name])}
			for _, before := range s.blocks {
				if before.file == name {
					places = append(places, before.end)
				}
			}
			for _, i := range places {
				if first, _ := parseSegmentName(name); first < b.first && (i < b.off || name != b.file) {
					continue // a later block too early hides what is between: not a copy that a disk makes
				}
				data := slices.Concat(s.files[name][:i], s.files[b.file][b.off:b.end], s.files[name][i:])
				damage := s.checkShifted(t, name, data, func(sampleBlock) bool { return false })
				if missing := missingOf(damage); len(missing) > 0 {
					t.Fatalf("block %d again in %s at %d: %v", b.first, name, i, damage)
				}
			}
		}
	}
}

func TestSealOfAnotherSegment(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names() {
		for _, from := range s.names()[:2] {
			seal := s.files[from][len(s.files[from])-blockOverhead:]
			if first, _ := parseSegmentName(name); name != s.last() || from == s.names()[0] && first > 7 {
				s.checkShifted(t, name, slices.Concat(s.files[name], seal), func(sampleBlock) bool { return false })
			}
		}
	}
}

func TestBlockOverwrittenByAnEarlierOne(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for i, b := range s.blocks {
		for _, earlier := range s.blocks[:i] {
			data := bytes.Clone(s.files[b.file])
			copy(data[b.off:], s.files[earlier.file][earlier.off:earlier.end])
			s.checkReplaced(t, b.file, data)
		}
	}
}

func TestSegmentDeleted(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	names := s.names()
	for i, name := range names {
		files := s.with(name, nil)
		damage := s.expect(files, func(b sampleBlock) bool { return b.file == name }).check(t, files)
		if i == 1 {
			if len(damage) != 1 || damage[0].Kind != MissingSegment || damage[0].Segment != name {
				t.Fatalf("%v", damage)
			}
		} else if len(damage) > 0 {
			t.Fatalf("%v", damage)
		}
	}

	// A cursor elsewhere knows of entries in the deleted last segment.
	dir := t.TempDir()
	writeFiles(t, dir, s.with(s.last(), nil))
	_, damage := mustOpen(t, Options{Dir: dir, Next: 18})
	first, _ := parseSegmentName(s.last())
	wantRanges(t, "missing", missingOf(damage), Gap{first, 17})
}

func TestTornTailThatACursorHasPassed(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	dir := t.TempDir()
	data := bytes.Clone(s.files[s.last()])
	data[len(data)-1]++
	writeFiles(t, dir, s.with(s.last(), data))
	var j *Journal
	for range 2 {
		var damage []Damage
		j, damage = mustOpen(t, Options{Dir: dir, Next: 19})
		if len(damage) != 1 || damage[0].Kind != TornTail || j.Next() != 19 {
			t.Fatalf("%v; Next is %d", damage, j.Next())
		}
		wantRanges(t, "missing", missingOf(damage), Gap{16, 18})
	}
	mustCommit(t, j, 1)
	got, skipped := readAll(t, j, 1)
	wantRanges(t, "read", got, Gap{1, 15}, Gap{19, 19})
	wantRanges(t, "skipped", skipped, Gap{16, 18})
}

func TestSegmentRenamed(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names() {
		for _, other := range []string{segmentName(3), segmentName(400), "7.seg", "old.seg", segmentName(maxPosition)} {
			files := s.with(name, nil)
			files[other] = s.files[name]
			damage := s.expect(s.files, func(sampleBlock) bool { return false }).check(t, files)
			if len(damage) != 1 || damage[0].Kind != MisnamedSegment || damage[0].Segment != other {
				t.Fatalf("%s as %s: %v", name, other, damage)
			}

			// A copy under another name.
			files[name] = s.files[name]
			damage = s.expect(s.files, func(sampleBlock) bool { return false }).check(t, files)
			if n := len(damage); n < 1 || damage[n-1].Kind != ForeignFile || damage[n-1].Segment != other {
				t.Fatalf("%s also as %s: %v", name, other, damage)
			}
			checkSetAside(t, files, damage)
		}
	}
}

func TestSegmentsSwapped(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	names := s.names()
	for _, order := range [][]int{{1, 0, 2}, {0, 2, 1}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
		files := map[string][]byte{}
		for i, k := range order {
			files[names[i]] = s.files[names[k]]
		}
		for _, d := range s.expect(s.files, func(sampleBlock) bool { return false }).check(t, files) {
			if d.Kind != MisnamedSegment {
				t.Fatalf("%+v", d)
			}
		}
	}
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	whole := s.expect(s.files, func(sampleBlock) bool { return false })
	garbage := bytes.Repeat([]byte("not a journal\n"), 1000)
	for _, name := range []string{"garbage.seg", ".seg", segmentName(2), segmentName(8), segmentName(14), segmentName(16), segmentName(0), "99999999999999999999.seg"} {
		for _, data := range [][]byte{garbage, {}} {
			files := s.with(name, data)
			damage := whole.check(t, files)
			if len(damage) != 1 || damage[0].Kind != ForeignFile || damage[0].Segment != name {
				t.Fatalf("%s: %v", name, damage)
			}
			checkSetAside(t, files, damage)
		}
	}

	// A segment of another journal, its first position inside ours.
	other, _ := mustOpen(t, Options{Dir: t.TempDir(), Next: 14})
	mustCommit(t, other, 9)
	stranger, err := os.ReadFile(filepath.Join(other.dir, segmentName(14)))
	if err != nil {
		t.Fatal(err)
	}
	if damage := whole.check(t, s.with(segmentName(14), stranger)); len(damage) != 1 || damage[0].Kind != ForeignFile {
		t.Fatalf("%v", damage)
	}

	// Garbage behind the end might have been a segment: its name counts.
	damage := outcome{read: whole.read, missing: []Gap{{19, 699}}, next: 700}.check(t, s.with(segmentName(700), garbage))
	if len(damage) != 2 || damage[0].Kind != MissingSegment || damage[1].Kind != TornTail {
		t.Fatalf("%v", damage)
	}
}

func TestOtherThingsInTheFolder(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	dir := t.TempDir()
	writeFiles(t, dir, s.files)
	writeFiles(t, dir, map[string][]byte{"README": []byte("mine"), segmentName(1) + ".bak": []byte("mine")})
	for _, name := range []string{"lost+found", segmentName(4), "folder.seg"} {
		writeFiles(t, filepath.Join(dir, name), map[string][]byte{"a": nil})
	}
	if err := os.Symlink("README", filepath.Join(dir, segmentName(5))); err != nil {
		t.Fatal(err)
	}
	damage := s.expect(s.files, func(sampleBlock) bool { return false }).checkDir(t, dir)
	if len(damage) != 3 {
		t.Fatalf("%v", damage)
	}
	for _, d := range damage {
		if _, err := os.Lstat(d.SetAside); err != nil || d.Kind != ForeignFile {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	for _, name := range []string{"README", segmentName(1) + ".bak", "lost+found/a"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestFolderInPlaceOfASegment(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for _, name := range s.names()[:2] {
		dir := t.TempDir()
		files := s.with(name, nil)
		writeFiles(t, dir, files)
		writeFiles(t, filepath.Join(dir, name), nil)
		s.expect(files, func(b sampleBlock) bool { return b.file == name }).checkDir(t, dir)
	}
}

// TestPlantedBlock has a device send what looks like a block, which must not be
// taken for one when the real block around it is damaged.
func TestPlantedBlock(t *testing.T) {
	t.Parallel()
	forged := AppendEntry(nil, []byte("entry of another device"))
	plant := appendBlock(nil, &header{first: 2, count: 1}, forged)
	for damaged := range headerSize {
		dir := t.TempDir()
		j, _ := mustOpen(t, Options{Dir: dir})
		if _, err := j.Commit(AppendEntry(nil, bytes.Repeat(plant, 50)), 1, testTime(1)); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, j, 5)
		j.Close()
		path := filepath.Join(dir, segmentName(1))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[damaged]++
		writeFiles(t, dir, map[string][]byte{segmentName(1): data})
		j, damage := mustOpen(t, Options{Dir: dir})
		got, skipped := readAll(t, j, 1)
		wantRanges(t, fmt.Sprint("read: ", damage), got, Gap{2, 6})
		wantRanges(t, "skipped", skipped, Gap{1, 1})
		j.Close()
	}
}

func TestSetAsideIsBounded(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	dir := t.TempDir()
	writeFiles(t, dir, s.with("garbage.seg", make([]byte, 1<<20)))
	for i := range 8 {
		path := filepath.Join(dir, setAsideFolder, fmt.Sprintf("old-%d", i))
		writeFiles(t, filepath.Dir(path), map[string][]byte{filepath.Base(path): nil})
		if err := os.Truncate(path, 10<<20); err != nil { // sparse
			t.Fatal(err)
		}
		if err := os.Chtimes(path, testTime(uint64(i)), testTime(uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, Options{Dir: dir})
	left, err := os.ReadDir(filepath.Join(dir, setAsideFolder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range left {
		names = append(names, file.Name())
	}
	want := []string{"garbage.seg.foreign", "old-2", "old-3", "old-4", "old-5", "old-6", "old-7"}
	if !slices.Equal(names, want) {
		t.Fatalf("left: %v", names)
	}
}
