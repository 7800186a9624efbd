package tail

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// Gap is a range of journal positions that a reader does not get, both ends included.
type Gap struct {
	First, Last uint64
	Cause       string
	SetAside    string    // where the damaged file is kept
	From        time.Time // receipt of the entry before it; zero: not known
	To          time.Time // receipt of the entry behind it
}

// maxCached bounds the sources that a reader remembers; above it, it asks for them again.
const maxCached = 1 << 15

// Reader reads what was committed, in order of position. It is for one goroutine, and may be as slow as it likes.
type Reader struct {
	log  *Log
	news chan struct{}

	// owned by who reads
	position uint64
	block    journal.Block   // what is left of the block it is in
	disk     *journal.Reader // nil: what it reads is in memory
	read     time.Time       // receipt of the block read last
	gap      Gap             // of entry
	sources  map[uint64]*Source
	entry    Entry
	data     device.Data

	// guarded by Log.mu
	shared *block // in memory, that block is of; nil: it is from the disk
	at     uint64 // where it was when it came for a block
	hold   uint64 // what Hold said
}

// Reader returns a reader that begins at a position. It has to be closed.
func (l *Log) Reader(from uint64) *Reader {
	r := &Reader{log: l, news: make(chan struct{}, 1), position: from, at: from, hold: math.MaxUint64, sources: map[uint64]*Source{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers[r] = struct{}{}
	return r
}

// Next returns the next entry, which is valid until the next call. It returns io.EOF at the end of what is committed; News says when it
// is worth to try again. Any other error is the file system's: the reader stays where it is, and tries again when it is called again.
//
// What it passes over it says with an entry that is not in the journal: KindGap for what is damaged, KindOverleap for what was trimmed
// before it was read, and KindUnreadable for an entry that nothing can be made of.
func (r *Reader) Next() (*Entry, error) {
	for {
		position := r.block.First
		if b, ok := r.block.Take(); ok {
			r.position = position + 1
			r.decode(position, b)
			return &r.entry, nil
		}
		if passed, err := r.fetch(); err != nil {
			return nil, err
		} else if passed {
			return &r.entry, nil
		}
	}
}

// News gets a value when there is more to read.
func (r *Reader) News() <-chan struct{} { return r.news }

// Left is how many entries of the present commit come next.
func (r *Reader) Left() int { return r.block.Count }

// Position is that of the next entry.
func (r *Reader) Position() uint64 { return r.position }

// Seek has the reader go on at a position, be it before or behind the one where it is.
func (r *Reader) Seek(position uint64) {
	r.closeDisk()
	r.block, r.position = journal.Block{}, position
}

// Hold says that the journal should keep what stands at a position and behind it until the reader says another one or is closed. It does
// so within its limits: what has to go is an overleap.
func (r *Reader) Hold(position uint64) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.hold = position
}

// Close ends the reader's use of the log.
func (r *Reader) Close() {
	r.closeDisk()
	r.log.remove(r)
}

// fetch gets the next block. If something is passed over before it, that is the entry.
func (r *Reader) fetch() (passed bool, err error) {
	end := r.log.journal.Next()
	b, head := r.log.move(r)
	switch {
	case b != nil:
		r.closeDisk()
		r.block = b.Block
		r.block.StartAt(r.position)
	case head:
		return false, io.EOF
	default:
		return r.fetchFromDisk(end)
	}
	r.read = r.block.Time
	return false, nil
}

func (r *Reader) fetchFromDisk(end uint64) (passed bool, err error) {
	if r.disk == nil {
		r.disk = r.log.journal.Reader(r.position)
	}
	b, err := r.disk.Next()
	if trimmed, ok := errors.AsType[*journal.TrimmedError](err); ok {
		gap := Gap{First: r.position, Last: trimmed.First - 1, Cause: "trimmed", From: r.read}
		for _, segment := range r.log.journal.Segments() {
			if segment.First == trimmed.First {
				gap.To = segment.Oldest
			}
		}
		r.Seek(trimmed.First)
		r.pass(KindOverleap, gap)
		return true, nil
	}
	if errors.Is(err, io.EOF) {
		r.position = max(r.position, end) // the journal's end may have been lost: then there is nothing before it any more
		return false, io.EOF
	}
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	if b.Skipped.First != 0 {
		gap := Gap{First: b.Skipped.First, Last: b.Skipped.Last, Cause: "damaged", From: r.read, To: b.Time}
		for _, d := range r.log.journal.Damage() {
			if d.FirstMissing <= gap.Last && gap.First <= d.LastMissing {
				gap.Cause, gap.SetAside = string(d.Kind)+" in "+d.Segment, d.SetAside
			}
		}
		r.pass(KindGap, gap)
		passed = true
	}
	r.block, r.read, r.position = b, b.Time, b.First
	return passed, nil
}

// pass makes an entry of a gap.
func (r *Reader) pass(kind Kind, gap Gap) {
	r.gap = gap
	r.entry = Entry{Kind: kind, Position: gap.Last + 1, Received: gap.To, Gap: &r.gap}
}

// decode makes an entry of what stands at a position.
func (r *Reader) decode(position uint64, b []byte) {
	e := &r.entry
	err := Parse(b, e)
	e.Position, e.Received, e.reader = position, r.block.Time, r
	if err == nil {
		switch e.Kind {
		case KindFrame:
			if e.Source = r.source(e.Number); e.Source == nil {
				err = ErrNoSource
				break
			}
			e.Device = e.Source.Device
		case KindSource:
			delete(r.sources, e.Number) // it may be another one now
		}
	}
	if err != nil {
		*e = Entry{Kind: KindUnreadable, Position: position, Received: r.block.Time, Err: err}
	}
}

func (r *Reader) source(number uint64) *Source {
	s := r.sources[number]
	if s == nil {
		if s = r.log.sources.Get(number); s == nil {
			return nil
		}
		if len(r.sources) >= maxCached {
			clear(r.sources)
		}
		r.sources[number] = s
	}
	return s
}

func (r *Reader) closeDisk() {
	if r.disk != nil {
		_ = r.disk.Close() // of a file that was only read
		r.disk = nil
	}
}

// Data decodes a frame, into memory of the reader: the result is valid until its next call of Next.
//
// Who needs no values calls it not. That every reader decodes for itself is on purpose: a frame of 8 values takes it 130 ns, because
// the message and the result are in the cache, while decoded frames that were kept in memory for all took 600 ns more.
func (e *Entry) Data() (*device.Data, error) {
	return &e.reader.data, device.ParseData(e.Message, e.Source.Schema, &e.reader.data)
}
