package journal

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

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
		h, begins, err := j.blockAt(file.Name(), 0)
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
	h, begins, err := j.blockAt(name, 0)
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
