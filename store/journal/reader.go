package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"time"
)

// patience is how often readers report that the disk refuses to read a block
// before they take its sectors for lost: a disk may come back.
const patience = 3

// TrimmedError is returned by a reader whose next position is not held any
// more. A new reader from First on finds what is left.
type TrimmedError struct {
	First uint64 // the oldest position that the journal holds
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("journal: trimmed up to position %d", e.First)
}

// Reader reads the journal in order of position. It is for one goroutine and
// holds at most one file open.
type Reader struct {
	journal *Journal
	pos     uint64 // next position the caller does not know of yet
	at      uint64 // next position to look for: above pos if those between are lost

	segment *segment // that scan is in; nil: none
	file    *os.File
	scan    scanner
}

// Reader returns a reader whose first block begins at position from, or at the
// first one after it that is not lost.
func (j *Journal) Reader(from uint64) *Reader {
	return &Reader{journal: j, pos: from, at: from}
}

// Next returns the next block. At the end of what is committed it returns
// io.EOF, and may be called again later. It returns a *TrimmedError if the
// position it is at has been trimmed. Damage is passed over: the block behind
// it says in Skipped what is missing, and Journal.Damage why. Any other error
// is the file system's: the reader stays where it is and tries again when it
// is called again. What the disk refuses a fourth time, to this reader or
// another, counts as damaged.
func (r *Reader) Next() (Block, error) {
	for {
		s, err := r.journal.locate(r.at)
		if err != nil {
			if r.segment != nil && r.segment.first < r.journal.First() {
				r.Close() // so that the disk gets its space back
			}
			return Block{}, err
		}
		if s.segment != r.segment {
			if err := r.open(s.segment); errors.Is(err, fs.ErrNotExist) {
				r.missing(s)
				continue
			} else if err != nil {
				return Block{}, fmt.Errorf("journal: read: %w", err)
			}
		}
		r.scan.tolerant = r.journal.refusals(s.segment, r.scan.off, 0) >= patience
		f, ok, err := r.scan.next(s.end, s.next, r.at)
		if err != nil {
			r.journal.refusals(s.segment, r.scan.off, 1)
			return Block{}, fmt.Errorf("journal: read: %w", err)
		}
		if !ok {
			r.journal.noteHole(hole(segmentName(s.first), f.from, s.end-f.from, f.want, s.next))
			r.at = s.next
			continue
		}
		if f.afterHole() {
			r.journal.noteHole(hole(segmentName(s.first), f.from, f.off-f.from, f.want, f.first))
		}
		if f.isSeal() {
			r.at = s.next
			continue
		}
		if f.next() > r.at {
			return r.deliver(&f), nil
		}
	}
}

// deliver makes the block that Next returns, and moves the reader behind it.
func (r *Reader) deliver(f *found) Block {
	b := Block{First: f.first, Count: f.count, Time: time.UnixMicro(f.time), entries: f.entries}
	b.StartAt(r.at)
	if b.First > r.pos {
		b.Skipped = Gap{First: r.pos, Last: b.First - 1}
	}
	r.pos, r.at = f.next(), f.next()
	return b
}

// span is a segment and how far it may be read at this moment.
type span struct {
	segment     *segment
	first, next uint64
	end         int64
}

// locate returns the segment that holds pos or, if pos is lost, the first one
// behind it.
func (j *Journal) locate(pos uint64) (span, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if first := j.firstLocked(); pos < first {
		return span{}, &TrimmedError{First: first}
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].next > pos })
	for i < len(j.segments) && j.segments[i].next == j.segments[i].first {
		i++ // empty
	}
	if i == len(j.segments) {
		return span{}, io.EOF
	}
	s := j.segments[i]
	return span{segment: s, first: s.first, next: s.next, end: s.end}, nil
}

// refusals adds n to the times that the disk refused to read the block of s at
// off, and returns them.
func (j *Journal) refusals(s *segment, off int64, n int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n > 0 {
		if s.refused == nil {
			s.refused = map[int64]int{}
		}
		s.refused[off] += n
	}
	return s.refused[off]
}

func (r *Reader) open(s *segment) error {
	file, err := os.Open(r.journal.path(s))
	if err != nil {
		return err
	}
	r.Close()
	r.segment, r.file = s, file
	r.scan.reset(file, s.first)
	return nil
}

// missing is called when the file of s is not there. Either s has been trimmed
// just now, and the next call of locate will tell, or the file was taken from
// the running journal.
func (r *Reader) missing(s span) {
	if s.first >= r.journal.First() {
		r.journal.noteMissing(s.first, s.next)
		r.at = s.next
	}
}

// Close closes the file the reader is in. A later Next opens it again.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.segment, r.file = nil, nil
	return err
}
