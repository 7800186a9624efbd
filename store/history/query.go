package history

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// bounds are the first and the last time wanted, µs since 1970. If low is above high nothing is.
type bounds struct{ low, high int64 }

var openBounds = bounds{math.MinInt64, math.MaxInt64}

// What lies outside of these is read as being of these, so the bounds from there on are open.
var (
	lowestTime  = device.Moment(device.MinTime)
	highestTime = device.Moment(device.MaxTime)
)

func (q *Query) bounds() bounds {
	b := openBounds
	if !q.From.IsZero() && q.From.After(lowestTime) {
		if q.From.After(highestTime) {
			return bounds{1, 0}
		}
		if b.low = q.From.UnixMicro(); time.UnixMicro(b.low).Before(q.From) {
			b.low++
		}
	}
	if !q.To.IsZero() && !q.To.After(highestTime) {
		if !q.To.After(lowestTime) {
			return bounds{1, 0}
		}
		if b.high = q.To.UnixMicro(); !time.UnixMicro(b.high).Before(q.To) {
			b.high--
		}
	}
	return b
}

// Stretches of the index that one read transaction looks through.
const (
	walkFound = 256
	walkSeen  = 16 << 10
)

// indexWalk reads a device's entries in the index, by first time.
type indexWalk struct {
	prefix []byte
	from   []byte // the next key
	bounds bounds
	done   bool

	damaged uint64 // entries met that can't be read
}

func newIndexWalk(deviceID string, b bounds) indexWalk {
	prefix := indexPrefix(deviceID)
	return indexWalk{prefix: prefix, from: prefix, bounds: b}
}

// next returns up to limit entries within the bounds, none at the end.
func (w *indexWalk) next(h *History, limit int) (found []entry, err error) {
	for !w.done && len(found) == 0 && err == nil {
		err = h.file.View(func(tx *bolt.Tx) error {
			found = w.stretch(tx.Bucket(bucketIndex).Cursor(), limit)
			return nil
		})
	}
	return found, err
}

// stretch looks through a part of the index. A long walk is many short transactions: while one is open bbolt can't use
// pages again.
func (w *indexWalk) stretch(c *bolt.Cursor, limit int) (found []entry) {
	seen := 0
	for k, v := c.Seek(w.from); ; k, v = c.Next() {
		if !bytes.HasPrefix(k, w.prefix) {
			w.done = true
			return found
		}
		if seen++; seen > walkSeen || len(found) == limit {
			w.from = bytes.Clone(k)
			return found
		}
		e, err := parseIndex(k[len(w.prefix):], v)
		switch {
		case err != nil:
			w.damaged++
		case e.first > w.bounds.high:
			w.done = true
			return found
		case e.last >= w.bounds.low:
			found = append(found, e)
		}
	}
}

// scan answers one query. It merges the device's blocks, of which it has those open that overlap at the moment.
type scan struct {
	h      *History
	query  Query
	bounds bounds

	// What there was when the scan began. What is written meanwhile, it has in memory.
	nextNumber uint64
	memory     []source // blocks that are not in the index, by first time and number

	walk    indexWalk
	indexed []entry // found by walk and not yet opened

	open    sourceHeap
	loaded  int // contents in open
	read    int // blocks from the file
	spare   []*contents
	schemas map[device.Hash]*device.Schema // nil: not to be had

	removals uint64
	damaged  uint64 // blocks passed over, or entries of the index
	lost     []Span // the times of their readings, as far as they are known; at most maxGaps
}

func newScan(h *History, q Query) *scan {
	s := &scan{h: h, query: q, bounds: q.bounds(), walk: newIndexWalk(q.Device, q.bounds()), schemas: map[device.Hash]*device.Schema{}}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	s.nextNumber, s.removals = h.state.next, h.removals
	var pending []entry
	var rest records
	if b := h.buffers[q.Device]; b != nil {
		pending, rest = b.pending, b.snapshot()
	}
	oldest := h.edge.number
	h.mu.Unlock()

	for _, e := range pending {
		if e.number >= oldest && s.wanted(e) {
			s.memory = append(s.memory, source{entry: e})
		}
	}
	s.addBuffered(rest)
	slices.SortFunc(s.memory, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.number, b.number))
	})
	return s
}

func (s *scan) wanted(e entry) bool { return e.first <= s.bounds.high && e.last >= s.bounds.low }

// addBuffered makes blocks of the frames in memory, just as they would be written.
func (s *scan) addBuffered(r records) {
	var w builder
	number := s.nextNumber
	for more := true; more; {
		w.begin(s.query.Device, newBuffer("", nil).newest)
		n := 0
		for n < targetStart {
			var f *format
			var data []byte
			if f, data, more = r.next(); !more {
				break
			}
			n += len(data)
			if err := w.add(r.mark, f, data); err != nil {
				s.damaged++
			}
		}
		blocks, err := w.end()
		if err != nil {
			s.damaged++
		}
		for _, b := range blocks {
			b.number = number
			number++
			if s.wanted(b.entry) {
				s.schemas[b.hash] = b.format.schema
				s.memory = append(s.memory, source{entry: b.entry, value: b.value})
			}
		}
	}
}

// run yields the readings.
func (s *scan) run(ctx context.Context, yield func(Reading, error) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		next, err := s.openDue()
		if err != nil {
			return err
		}
		if len(s.open) == 0 {
			return nil
		}
		if err := s.drain(next, yield); err != nil {
			return err
		}
	}
}

// passOver notes a block that can't be read.
func (s *scan) passOver(src *source) {
	s.damaged++
	d := newDamage(s.query.Device, src.entry)
	if len(s.lost) < maxGaps {
		s.lost = append(s.lost, Span{d.First, d.Last})
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.noteDamage(d)
}

// incomplete returns an error if anything was passed over.
func (s *scan) incomplete() error {
	n := s.damaged + s.walk.damaged
	if n == 0 {
		return nil
	}
	s.h.opts.Logger.Warn("damaged blocks of the history were passed over", "device", s.query.Device, "blocks", n)
	e := &IncompleteError{Device: s.query.Device, Blocks: int(n)}
	for i, span := range s.lost {
		if i == 0 || span.From.Before(e.First) {
			e.First = span.From
		}
		if span.To.After(e.Last) {
			e.Last = span.To
		}
	}
	return e
}

// openDue opens the blocks that may hold the next sample, and returns when the first of the others begins.
func (s *scan) openDue() (next int64, err error) {
	for {
		src, ok, err := s.peek()
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return math.MaxInt64, nil
		case len(s.open) > 0 && s.open[0].head.time < src.first:
			return src.first, nil
		}
		s.take(src)
		ok, err = s.load(src)
		if err != nil {
			return 0, err
		}
		if ok && s.skipToLow(src) {
			s.open.push(src)
		}
	}
}

// peek returns the next block to be opened.
func (s *scan) peek() (*source, bool, error) {
	for len(s.indexed) == 0 && !s.walk.done {
		found, err := s.walk.next(s.h, walkFound)
		if err != nil {
			return nil, false, err
		}
		for _, e := range found {
			if e.number < s.nextNumber {
				s.indexed = append(s.indexed, e)
			}
		}
	}
	switch {
	case len(s.memory) > 0 && (len(s.indexed) == 0 || !s.indexed[0].before(&s.memory[0].entry)):
		return &s.memory[0], true, nil
	case len(s.indexed) > 0:
		return &source{entry: s.indexed[0]}, true, nil
	}
	return nil, false, nil
}

// take removes what peek returned. A block may have come into the index since the scan began: then it is in both.
func (s *scan) take(src *source) {
	if len(s.memory) > 0 && s.memory[0].number == src.number {
		s.memory = s.memory[1:]
	}
	if len(s.indexed) > 0 && s.indexed[0].number == src.number {
		s.indexed = s.indexed[1:]
	}
}
