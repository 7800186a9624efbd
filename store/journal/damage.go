package journal

import "slices"

// Kind says what was wrong with a file.
type Kind string

const (
	// TornTail: the journal ends in bytes that are no block. Normally a commit
	// was under way when the power went, and never returned: nothing is
	// missing, the bytes are cut off, and the positions are given out again.
	// Positions are missing if the header of a later block is among these
	// bytes, or Options.Next says that they were given out: then the bytes
	// stay, and the journal goes on in a new segment.
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

// forgetDamage forgets what was wrong with a segment that is gone.
func (j *Journal) forgetDamage(s *segment) {
	j.damageMu.Lock()
	defer j.damageMu.Unlock()
	j.damage = slices.DeleteFunc(j.damage, func(d Damage) bool { return d.Segment == segmentName(s.first) })
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
