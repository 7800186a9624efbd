// Package journal keeps opaque entries in append-only segment files.
package journal

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// MaxCommit is the most bytes of entries that one Commit takes.
const MaxCommit = 4 << 20

var errSkeleton = errors.New("journal: not built yet")

// Options says where the journal lives and how large its files grow.
type Options struct {
	Dir          string
	SegmentBytes int64  // a segment is full at this size; default 16 MiB
	Next         uint64 // the next entry gets at least this position (the highest durable cursor of the caller)
}

// Kind says what was wrong with a file.
type Kind string

const (
	TornTail        Kind = "torn tail"
	DamagedBlock    Kind = "damaged block"
	MissingSegment  Kind = "missing segment"
	ForeignFile     Kind = "foreign file"
	MisnamedSegment Kind = "misnamed segment"
)

// Damage is one thing found wrong, at Open or later by a reader.
type Damage struct {
	Segment                   string // file name
	Kind                      Kind
	Offset, Bytes             int64  // where in the file, and how much was passed over
	FirstMissing, LastMissing uint64 // positions that cannot be read; 0, 0 if none are missing
	SetAside                  string // path of the copy kept, if any
}

// Report says what Open found and did.
type Report struct{ Damage []Damage }

// Segment describes one segment file.
type Segment struct {
	First, Next    uint64
	Bytes          int64
	Oldest, Newest time.Time // commit times of its first and last block
}

// Gap is a range of positions, both ends included; the zero Gap is none.
type Gap struct{ First, Last uint64 }

// TrimmedError is returned by a reader whose next position is no longer held.
type TrimmedError struct{ First uint64 } // First is the oldest position still held

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("journal: trimmed up to position %d", e.First)
}

// Block is what one Commit wrote.
type Block struct {
	First   uint64
	Count   int
	Time    time.Time
	Skipped Gap // positions before First that are lost to damage
	entries []byte
}

// Entries yields each entry with its position; valid until the reader's next Next.
func (b *Block) Entries() iter.Seq2[uint64, []byte] { return func(func(uint64, []byte) bool) {} }

type Journal struct{}

func Open(o Options) (*Journal, *Report, error) { return nil, nil, errSkeleton }

func (j *Journal) Commit(entries []byte, count int, at time.Time) (first uint64, err error) {
	return 0, errSkeleton
}
func AppendEntry(dst, entry []byte) []byte                        { return dst }
func (j *Journal) Full() bool                                     { return false }
func (j *Journal) Rotate() error                                  { return errSkeleton }
func (j *Journal) First() uint64                                  { return 0 }
func (j *Journal) Next() uint64                                   { return 0 }
func (j *Journal) Bytes() int64                                   { return 0 }
func (j *Journal) Segments() []Segment                            { return nil }
func (j *Journal) Damage() []Damage                               { return nil }
func (j *Journal) TrimBefore(pos uint64) (bytes int64, err error) { return 0, errSkeleton }
func (j *Journal) Close() error                                   { return nil }

// Reader reads from position from on.
func (j *Journal) Reader(from uint64) *Reader { return &Reader{} }

type Reader struct{}

// Next returns the next block, or io.EOF at the committed end (call again later).
func (r *Reader) Next() (Block, error) { return Block{}, errSkeleton }
func (r *Reader) Close() error         { return nil }
