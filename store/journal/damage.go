package journal

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Kind says what was wrong with a file.
type Kind string

const (
	// TornTail: the last block of the journal is not whole. Normally a commit
	// was under way when the power went, and never returned. It was cut off
	// and its positions are given out again, unless Options.Next forbids it.
	TornTail Kind = "torn tail"
	// DamagedBlock: bytes that are no block, with valid blocks or segments
	// behind them. They are passed over.
	DamagedBlock Kind = "damaged block"
	// MissingSegment: a file is gone, or its end.
	MissingSegment Kind = "missing segment"
	// ForeignFile: the name of a segment, but not one of this journal. It was
	// moved to SetAside.
	ForeignFile Kind = "foreign file"
	// MisnamedSegment: a segment that had another name. It was renamed.
	MisnamedSegment Kind = "misnamed segment"
)

// Damage is one thing that was found wrong with the files, by Open or later by
// a reader. It is found again after the next Open, for as long as the segment
// is held, and two findings may overlap: whoever keeps books notes the missing
// positions as a set.
type Damage struct {
	Segment string // file name
	Kind    Kind
	Offset  int64 // where in the file
	Bytes   int64 // how many were passed over or cut off

	// The positions that cannot be read and will not be given out again, both
	// ends included. 0 and 0: none.
	FirstMissing, LastMissing uint64

	SetAside string // path of the copy kept, "" if there is none
}

// Report says what Open found.
type Report struct {
	Damage []Damage
}

// Damage returns everything found so far, by Open and by readers since.
func (j *Journal) Damage() []Damage {
	j.damageMu.Lock()
	defer j.damageMu.Unlock()
	return slices.Clone(j.damage)
}

func (j *Journal) note(d Damage) {
	j.damageMu.Lock()
	defer j.damageMu.Unlock()
	j.damage = append(j.damage, d)
}

// hole describes n bytes of a segment that are no block. The positions from
// want up to, not including, next are missing by that.
func hole(name string, off, n int64, want, next uint64) Damage {
	d := Damage{Segment: name, Kind: DamagedBlock, Offset: off, Bytes: n}
	if want < next {
		d.FirstMissing, d.LastMissing = want, next-1
	}
	return d
}

// noteHole notes a hole, once, and keeps a copy of the file.
func (j *Journal) noteHole(d Damage) {
	j.damageMu.Lock()
	defer j.damageMu.Unlock()
	for _, known := range j.damage {
		if known.Segment == d.Segment && known.Kind == d.Kind && known.Offset == d.Offset {
			return
		}
	}
	d.SetAside = j.copyAside(d.Segment)
	j.damage = append(j.damage, d)
}

// noteMissing notes, once, that the segment is gone that held the positions
// from first up to, not including, next.
func (j *Journal) noteMissing(first, next uint64) {
	d := Damage{Segment: segmentName(first), Kind: MissingSegment, FirstMissing: first, LastMissing: next - 1}
	j.damageMu.Lock()
	defer j.damageMu.Unlock()
	if !slices.Contains(j.damage, d) {
		j.damage = append(j.damage, d)
	}
}

const (
	setAsideFolder = "set-aside"
	setAsideBytes  = 64 << 20
)

// copyAside keeps a copy of a whole file, and returns its path. If there is one
// from an earlier start, that one stays. It returns "" if it fails: a full
// disk must not keep the journal from being read.
func (j *Journal) copyAside(name string) string {
	path := filepath.Join(j.dir, setAsideFolder, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	info, err := os.Stat(filepath.Join(j.dir, name))
	if err != nil || j.copyTo(path, name, 0, info.Size()) != nil {
		return ""
	}
	return path
}

// copyTailAside is like copyAside for the end of a file, n bytes from off on.
func (j *Journal) copyTailAside(name string, off, n int64) string {
	path := freePath(filepath.Join(j.dir, setAsideFolder, name+".from-"+strconv.FormatInt(off, 10)), "")
	if err := j.copyTo(path, name, off, n); err != nil {
		return ""
	}
	return path
}

// copyTo copies n bytes of a file from off on to path, which is in set-aside.
// What cannot be read is copied as zeros.
func (j *Journal) copyTo(path, name string, off, n int64) error {
	if err := j.makeRoom(n); err != nil {
		return err
	}
	from, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return err
	}
	defer from.Close()
	part := path + ".part"
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(part) // gone already if all went well
	defer to.Close()
	w := window{file: from, tolerant: true}
	for end := off + n; off < end; {
		b, err := w.at(off, 1, end)
		if err != nil {
			return err
		}
		if _, err := to.Write(b); err != nil {
			return err
		}
		off += int64(len(b))
	}
	if err := to.Sync(); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// moveAside takes a file, or whatever it is, out of the journal.
func (j *Journal) moveAside(name string) error {
	from := filepath.Join(j.dir, name)
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := j.makeRoom(info.Size()); err != nil {
		return err
	}
	path := freePath(filepath.Join(j.dir, setAsideFolder, name+".foreign"), "")
	if err := os.Rename(from, path); err != nil {
		return err
	}
	j.note(Damage{Segment: name, Kind: ForeignFile, Bytes: info.Size(), SetAside: path})
	return nil
}

// freePath returns base+suffix or, if that is in use, base with a number and
// suffix.
func freePath(base, suffix string) string {
	path := base + suffix
	for i := 2; ; i++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = base + "-" + strconv.Itoa(i) + suffix
	}
}

// makeRoom makes the folder set-aside if need be, and removes the oldest files
// in it until n more bytes keep it within its bound.
func (j *Journal) makeRoom(n int64) error {
	dir := filepath.Join(j.dir, setAsideFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []os.FileInfo
	total := n
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, file := range files {
		if total <= setAsideBytes {
			break
		}
		if err := os.RemoveAll(filepath.Join(dir, file.Name())); err != nil {
			return err
		}
		total -= file.Size()
	}
	return nil
}
