package journal

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// survey is a segment as Open found it.
type survey struct {
	*segment
	sealed bool
	zeroed bool     // sectors of it could not be read
	begun  uint64   // first position of a block behind the end, of which the header is left
	holes  []Damage // between its blocks
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
	if err := j.recover(max(o.Next, j.readMark())); err != nil {
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
			next = max(next, last.begun)
			if err := j.resume(last, next); err != nil {
				return err
			}
		}
	}
	if next > j.next {
		j.skipTo(next)
	}
	return j.dirFile.Sync()
}

// blockAt checks the block that begins at off, counted from the end of the
// file if it is negative. It is false if there is none that is whole.
func (j *Journal) blockAt(name string, off int64) (header, bool, error) {
	file, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return header{}, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return header{}, false, err
	}
	if off < 0 {
		off = max(info.Size()+off, 0)
	}
	s := scanner{window: window{file: file, tolerant: true}}
	f := found{off: off}
	ok, err := s.block(&f, info.Size(), math.MaxUint64, 0)
	return f.header, ok, err
}

// survey finds out what a segment holds: by its first block and its seal if it
// has both, else by reading all of it.
func (j *Journal) survey(first uint64) (*survey, error) {
	name := segmentName(first)
	begin, begins, err := j.blockAt(name, 0)
	if err != nil {
		return nil, err
	}
	seal, ends, err := j.blockAt(name, -blockOverhead)
	if err != nil {
		return nil, err
	}
	if !begins || !ends || begin.isSeal() || !seal.isSeal() || seal.first < begin.next() {
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
			v.begun, err = s.begun(v.size)
			v.zeroed = s.zeroed
			return v, err
		}
		if f.afterHole() {
			v.holes = append(v.holes, hole(name, f.from, f.off-f.from, f.want, f.first))
		}
		v.next, v.end = s.want, s.off
		if f.isSeal() {
			v.sealed = true
			return v, nil
		}
		if !v.blocks {
			v.blocks, v.oldest = true, f.time
		}
		v.newest = f.time
	}
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

// shorten ends prev where v begins, if v can be its successor. If prev has no
// seal, its last block may be what a failed commit left there: the disk did not
// take the order to cut it off. If it has one, only a wrong seal can reach
// beyond v.
func (j *Journal) shorten(prev, v *survey) (bool, error) {
	if !v.blocks {
		return false, nil
	}
	limit := v.first
	if prev.sealed {
		limit = math.MaxUint64
	}
	shorter, err := j.scan(prev.first, limit)
	if err != nil || shorter.next > v.first || shorter.next < v.first && !prev.sealed {
		return false, err
	}
	*prev.segment, prev.sealed = *shorter.segment, shorter.sealed
	return true, nil
}

// resume makes v, which has no seal, the active segment again. The position of
// the next entry will not be below next.
func (j *Journal) resume(v *survey, next uint64) error {
	file, err := os.OpenFile(j.path(v.segment), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	j.file, j.active = file, v.segment
	keep := false
	if torn := v.size - v.end; torn > 0 {
		d := Damage{Segment: segmentName(v.first), Kind: TornTail, Offset: v.end, Bytes: torn}
		// What cannot be read today may be read another day, and what tells
		// that positions were given out must still do so after a crash.
		keep = v.zeroed || next > v.next
		if !keep {
			d.SetAside = j.copyTailAside(d.Segment, v.end, torn)
			if err := file.Truncate(v.end); err != nil {
				return err
			}
			v.size = v.end
		}
		if next > v.next {
			d.FirstMissing, d.LastMissing = v.next, next-1
			j.next = next
		}
		j.note(d)
	}
	// A crash may have come between a write and its fdatasync. The blocks are
	// about to be taken for committed, so they must be so.
	if err := datasync(file); err != nil {
		return err
	}
	if keep {
		j.release() // and go on in a new segment
	}
	return nil
}

// skipTo makes next the position of the next entry. The positions before it
// were given out, but their entries are lost.
func (j *Journal) skipTo(next uint64) {
	if len(j.segments) > 0 {
		j.noteMissing(j.next, next)
	}
	if j.active != nil && j.active.end > 0 {
		j.retire()
	} else if j.active != nil {
		j.release()
	}
	j.next = next
}
