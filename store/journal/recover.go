package journal

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// survey is a segment as Open found it.
type survey struct {
	*segment
	sealed bool
	zeroed bool // sectors of it could not be read
	holes  []Damage
}

// Open opens the journal in o.Dir, which no other process may have open, and
// brings it in order after a crash or damage. The report says what was found.
// Errors are those of the file system: damage is none.
func Open(o Options) (*Journal, *Report, error) {
	j := &Journal{dir: o.Dir, segmentBytes: o.SegmentBytes, next: 1}
	if j.segmentBytes <= 0 {
		j.segmentBytes = DefaultSegmentBytes
	}
	if err := makeFolder(o.Dir); err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	var err error
	if j.dirFile, err = os.Open(o.Dir); err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	if err := j.recover(o.Next); err != nil {
		j.Close()
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	return j, &Report{Damage: j.Damage()}, nil
}

// makeFolder makes dir, durably, unless it is there.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

func (j *Journal) recover(next uint64) error {
	if next > maxPosition {
		return errPositions
	}
	names, err := j.claim()
	if err != nil {
		return err
	}
	var last *survey
	for _, first := range names {
		v, err := j.survey(first)
		if err != nil {
			return err
		}
		belongs, err := j.link(last, v)
		if err != nil {
			return err
		}
		if belongs {
			last = v
		}
	}
	if last != nil {
		j.next = last.next
		if !last.sealed {
			if err := j.resume(last); err != nil {
				return err
			}
		}
	}
	if next > j.next {
		j.skipTo(next)
	}
	return j.dirFile.Sync()
}

// claim returns the first positions of all segments in the folder, ascending.
// What has the name of a segment and is none goes to set-aside; a segment
// under a wrong name gets its own back. Other files are left alone.
func (j *Journal) claim() (names []uint64, err error) {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var strays []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), segmentSuffix) {
			continue
		}
		if !file.Type().IsRegular() {
			if err := j.moveAside(file.Name()); err != nil {
				return nil, err
			}
			continue
		}
		h, begins, err := j.readHeader(file.Name(), 0)
		if err != nil {
			return nil, err
		}
		first, ok := parseSegmentName(file.Name())
		if ok && (!begins || h.isSeal() || h.first == first) {
			names = append(names, first)
		} else {
			strays = append(strays, file.Name())
		}
	}
	for i, name := range strays {
		first, err := j.claimStray(name, names, strays[i+1:])
		if err != nil {
			return nil, err
		}
		if first > 0 {
			names = append(names, first)
			slices.Sort(names)
		}
	}
	return names, nil
}

// claimStray decides what becomes of a file whose name and first block do not
// agree. It returns the position that is the name of the segment from now on,
// or 0 if it is in set-aside. The names are those of the other segments, the
// strays are still to be decided on.
func (j *Journal) claimStray(name string, names []uint64, strays []string) (uint64, error) {
	h, begins, err := j.readHeader(name, 0)
	if err != nil {
		return 0, err
	}
	held := false
	if i, _ := slices.BinarySearch(names, h.first+1); begins && i > 0 {
		owner, err := j.survey(names[i-1])
		if err != nil {
			return 0, err
		}
		held = h.first == owner.first || h.first < owner.next
	}
	if begins && !held && !h.isSeal() {
		if err := j.vacate(segmentName(h.first), strays); err != nil {
			return 0, err
		}
		j.note(Damage{Segment: name, Kind: MisnamedSegment})
		return h.first, os.Rename(filepath.Join(j.dir, name), filepath.Join(j.dir, segmentName(h.first)))
	}
	// The first block is a copy of one that is elsewhere. Are there others?
	if first, ok := parseSegmentName(name); ok {
		if v, err := j.scan(first, math.MaxUint64); err != nil || v.blocks {
			return first, err
		}
	}
	return 0, j.moveAside(name)
}

// vacate gives the stray that bears a name another one for the time being. The
// next Open would find it under that too.
func (j *Journal) vacate(name string, strays []string) error {
	i := slices.Index(strays, name)
	if i < 0 {
		return nil
	}
	path := freePath(filepath.Join(j.dir, "stray"), segmentSuffix)
	strays[i] = filepath.Base(path)
	return os.Rename(filepath.Join(j.dir, name), path)
}

// readHeader reads the block header at off, counted from the end of the file
// if it is negative.
func (j *Journal) readHeader(name string, off int64) (h header, ok bool, err error) {
	file, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return h, false, err
	}
	defer file.Close()
	if off < 0 {
		info, err := file.Stat()
		if err != nil {
			return h, false, err
		}
		if off += info.Size(); off < 0 {
			return h, false, nil
		}
	}
	w := window{file: file, tolerant: true}
	b, err := w.at(off, headerSize, off+headerSize)
	if err != nil {
		return h, false, err
	}
	h, ok = parseHeader(b)
	return h, ok, nil
}

// survey finds out what a segment holds: by its first block and its seal if it
// has both, else by reading all of it.
func (j *Journal) survey(first uint64) (*survey, error) {
	name := segmentName(first)
	begin, begins, err := j.readHeader(name, 0)
	if err != nil {
		return nil, err
	}
	seal, ends, err := j.readHeader(name, -blockOverhead)
	if err != nil {
		return nil, err
	}
	if !begins || !ends || begin.isSeal() || begin.first != first || !seal.isSeal() || seal.first < begin.next() {
		return j.scan(first, math.MaxUint64)
	}
	info, err := os.Stat(filepath.Join(j.dir, name))
	if err != nil {
		return nil, err
	}
	return &survey{sealed: true, segment: &segment{
		first: first, next: seal.first, end: info.Size(), size: info.Size(),
		blocks: true, oldest: begin.time, newest: seal.time,
	}}, nil
}

// scan reads a whole segment, up to the position limit.
func (j *Journal) scan(first, limit uint64) (*survey, error) {
	name := segmentName(first)
	file, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	v := &survey{segment: &segment{first: first, next: first, size: info.Size()}}
	var s scanner
	s.reset(file, first)
	s.tolerant = true // not starting at all would lose more
	for {
		f, ok, err := s.next(v.size, limit, 0)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if f.afterHole() {
			v.holes = append(v.holes, hole(name, f.from, f.off-f.from, f.want, f.first))
		}
		v.next, v.end = s.want, s.off
		if f.isSeal() {
			v.sealed = true
			break
		}
		if !v.blocks {
			v.blocks, v.oldest = true, f.time
		}
		v.newest = f.time
	}
	v.zeroed = s.zeroed
	return v, nil
}

// link puts v behind prev, the segment before it (nil if it is the first), and
// notes what is missing between the two. It is false, and v in set-aside, if v
// cannot be where its name says.
func (j *Journal) link(prev, v *survey) (bool, error) {
	if prev != nil && v.first < prev.next {
		fits, err := j.shorten(prev, v)
		if err != nil {
			return false, err
		}
		if !fits {
			return false, j.moveAside(segmentName(v.first))
		}
	}
	if prev != nil && v.first > prev.next {
		if junk := prev.size - prev.end; junk > 0 && !prev.sealed {
			j.noteHole(hole(segmentName(prev.first), prev.end, junk, prev.next, v.first))
		} else {
			j.noteMissing(prev.next, v.first)
		}
	}
	for _, d := range v.holes {
		j.noteHole(d)
	}
	j.segments = append(j.segments, v.segment)
	return true, nil
}

// shorten ends prev where v begins, if v can be its successor. The blocks of
// prev behind that are what a failed commit left there: the disk did not take
// the order to cut it off.
func (j *Journal) shorten(prev, v *survey) (bool, error) {
	if prev.sealed || !v.blocks {
		return false, nil
	}
	shorter, err := j.scan(prev.first, v.first)
	if err != nil || shorter.next != v.first {
		return false, err
	}
	*prev.segment = *shorter.segment
	return true, nil
}

// resume makes v, which has no seal, the active segment again.
func (j *Journal) resume(v *survey) error {
	file, err := os.OpenFile(j.path(v.segment), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	j.file, j.active = file, v.segment
	if torn := v.size - v.end; torn > 0 {
		name := segmentName(v.first)
		j.note(Damage{Segment: name, Kind: TornTail, Offset: v.end, Bytes: torn, SetAside: j.copyTailAside(name, v.end, torn)})
		if v.zeroed {
			// What cannot be read today may be read another day: cut nothing,
			// go on in a new segment.
			j.release()
			return nil
		}
		if err := file.Truncate(v.end); err != nil {
			return err
		}
		v.size = v.end
	}
	// A crash may have come between a write and its fdatasync. The blocks are
	// about to be taken for committed, so they must be so.
	return datasync(file)
}

// skipTo makes next the position of the next entry. The positions before it
// are in use somewhere, but lost here.
func (j *Journal) skipTo(next uint64) {
	defer func() { j.next = next }()
	if len(j.segments) == 0 {
		return
	}
	if n := len(j.damage); n > 0 && j.damage[n-1].Kind == TornTail {
		j.damage[n-1].FirstMissing, j.damage[n-1].LastMissing = j.next, next-1
	} else {
		j.noteMissing(j.next, next)
	}
	if j.active == nil {
		return
	}
	if j.active.end > 0 {
		j.retire()
	} else {
		j.release()
	}
}
