// Package journal keeps opaque entries on disk, in order: the only truth that
// everything else is derived from. One goroutine commits, any number read, and
// old entries are trimmed meanwhile. The package starts no goroutines.
//
// Every entry has a position: 1, 2, 3, … A position names one entry for ever;
// it is never given out again once a commit with it has returned.
//
// # Files
//
// A journal is a folder of segment files. Each is named by the position of its
// first entry, "00000000000000000001.seg", and is a row of blocks without
// anything between them. A block is what one Commit wrote. Integers are little
// endian:
//
//	offset  size
//	     0     4  magic "TJB1"
//	     4     4  length of the entries in bytes, at most MaxCommit
//	     8     8  position of the first entry
//	    16     4  number of entries
//	    20     8  commit time, µs since 1970
//	    28     8  mask, drawn at random for each block
//	    36     4  CRC-32C of the 36 bytes above
//	    40     n  entries, each a uvarint length and its bytes, combined by
//	              exclusive or with the mask repeated
//	  40+n     4  CRC-32C of all the 40+n bytes above
//
// A block with neither length nor entries is a seal: the segment ends here, and
// the position in it is where the next segment begins.
//
// The mask is there because entries hold what devices sent. After damage the
// next block is searched for at every byte, and a device could put bytes into
// its frames that look like a block with entries of other devices. It cannot
// know the mask, so it cannot choose what the disk will hold (RFC 6455 §10.3
// masks for the same reason).
//
// # What survives what
//
// A commit is one write and one fdatasync; a new segment's folder entry is
// synced before. Whatever was committed survives a crash of the process and a
// power cut. A commit that failed never counts: its bytes are cut off, and if
// the disk should bring them back, they lie beyond the first position of the
// next segment, which is where a segment ends.
//
// Open reads the segments that have no seal, normally the last one only, and
// cuts a torn block off its end. Sealed segments are trusted until they are
// read: then each block is checked, what is damaged is passed over, and the
// reader says which positions are missing. Damage is never repaired in place:
// a copy of the file is kept in the folder set-aside, the rest is read where
// it is.
package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// DefaultSegmentBytes is the size at which a segment is full, unless Options
// says otherwise.
const DefaultSegmentBytes = 16 << 20

// ErrTooLarge is returned by Commit for more than MaxCommit bytes of entries.
var ErrTooLarge = errors.New("journal: more than can be committed at once")

var (
	errEntries   = errors.New("journal: the entries are not as many as the count says")
	errPositions = errors.New("journal: positions are used up")
)

// Options says where a journal lives and how large its files grow.
type Options struct {
	Dir          string // made if it is not there
	SegmentBytes int64  // a segment is full at this size; default DefaultSegmentBytes

	// Next is the lowest position that the next entry may get: the highest
	// cursor that was ever stored elsewhere. It keeps positions from being
	// used twice where the end of the journal was lost.
	Next uint64
}

// Journal is a folder of segment files. Commit, Full, Rotate and Close are for
// one goroutine, the committer; everything else is for any.
type Journal struct {
	// static
	dir          string
	dirFile      *os.File
	segmentBytes int64

	// owned by the committer
	active *segment // the last of segments, or nil: the next commit makes one
	file   *os.File // of active
	mark   *os.File // see Mark; nil: not open
	marked uint64   // what it says
	buf    []byte

	mu       sync.Mutex
	segments []*segment // in order of position
	next     uint64     // changed by the committer only

	damageMu sync.Mutex
	damage   []Damage

	trimMu sync.Mutex // held by TrimBefore
}

// Commit makes entries durable: count of them, as AppendEntry wrote them, and
// returns the position of the first. When it returns an error, none of them is
// in the journal, and the same can be committed again: a disk that was full
// may have room then.
func (j *Journal) Commit(entries []byte, count int, at time.Time) (first uint64, err error) {
	if len(entries) > MaxCommit {
		return 0, ErrTooLarge
	}
	if n, ok := countEntries(entries); !ok || n != count || n == 0 {
		return 0, errEntries
	}
	if j.next+uint64(count) > maxPosition {
		return 0, errPositions
	}
	if j.Full() {
		j.retire()
	}
	if j.active == nil {
		if err := j.create(); err != nil {
			return 0, fmt.Errorf("journal: new segment: %w", err)
		}
	}
	s := j.active
	h := header{first: j.next, count: count, time: at.UnixMicro()}
	j.buf = appendBlock(j.buf[:0], &h, entries)
	if _, err := j.file.WriteAt(j.buf, s.end); err != nil {
		j.abandon(false)
		return 0, fmt.Errorf("journal: write: %w", err)
	}
	if err := datasync(j.file); err != nil {
		j.abandon(true)
		return 0, fmt.Errorf("journal: fdatasync: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.add(&h)
	j.next = s.next
	return h.first, nil
}

// Full reports whether the active segment has reached its size. The next
// Commit goes to a new one then, with or without a call of Rotate.
func (j *Journal) Full() bool {
	return j.active != nil && j.active.end >= j.segmentBytes
}

// Rotate begins a new segment, so that TrimBefore may drop all entries there
// are. It does nothing if the active segment is empty.
func (j *Journal) Rotate() error {
	if j.active != nil {
		if j.active.end == 0 {
			return nil
		}
		j.retire()
	}
	if err := j.create(); err != nil {
		return fmt.Errorf("journal: new segment: %w", err)
	}
	return nil
}

// First returns the oldest position that the journal holds, or Next if it
// holds none.
func (j *Journal) First() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.firstLocked()
}

func (j *Journal) firstLocked() uint64 {
	if len(j.segments) == 0 {
		return j.next
	}
	return j.segments[0].first
}

// Next returns the position that the next entry will get.
func (j *Journal) Next() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Bytes returns the size of all segment files together.
func (j *Journal) Bytes() (total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		total += s.size
	}
	return total
}

// Segments describes the segment files, oldest first. Two neighbours between
// whose positions there is a gap have lost what was between them.
func (j *Journal) Segments() []Segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Segment, len(j.segments))
	for i, s := range j.segments {
		list[i] = s.describe()
	}
	return list
}

// Close closes the files that Commit writes to. Readers have their own.
func (j *Journal) Close() error {
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	if j.mark != nil {
		err = errors.Join(err, j.mark.Close())
	}
	return errors.Join(err, j.dirFile.Close())
}
