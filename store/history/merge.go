package history

import (
	"container/heap"
	"errors"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxLoaded bounds how many blocks a scan has decoded at a time. More of them overlap only if a device's times make no
// sense; then blocks are decoded again and again.
const maxLoaded = 32

// releaseEvery is after how many blocks a scan takes them out of the resident memory again, to which each may have added 64 KiB.
const releaseEvery = 128

// errStopped says that the reader wants no more.
var errStopped = errors.New("stopped")

// source is a block that is being read.
type source struct {
	entry
	value    []byte    // of a block that is only in memory
	contents *contents // nil: not decoded, or not any more
	at       int       // samples read, in order of time
	head     sampleKey // the next sample
}

// sampleKey orders samples: by time, then as they arrived.
type sampleKey struct {
	time     int64
	position uint64
	number   uint64
}

func (k sampleKey) before(o sampleKey) bool {
	if k.time != o.time {
		return k.time < o.time
	}
	if k.position != o.position {
		return k.position < o.position
	}
	return k.number < o.number
}

// sourceHeap has the source with the first sample at its top.
type sourceHeap []*source

func (h sourceHeap) Len() int           { return len(h) }
func (h sourceHeap) Less(i, j int) bool { return h[i].head.before(h[j].head) }
func (h sourceHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)        { *h = append(*h, x.(*source)) }

func (h *sourceHeap) Pop() any {
	last := len(*h) - 1
	src := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return src
}

func (h *sourceHeap) push(src *source) { heap.Push(h, src) }

// second is the first sample of all sources but the top one.
func (h sourceHeap) second() sampleKey {
	k := sampleKey{time: math.MaxInt64, position: math.MaxUint64}
	for _, src := range h[min(1, len(h)):min(3, len(h))] {
		if src.head.before(k) {
			k = src.head
		}
	}
	return k
}

// load decodes a block, and returns false if there is nothing to be read in it.
func (s *scan) load(src *source) (ok bool, err error) {
	c := s.contents()
	defer func() {
		if src.contents == nil {
			s.spare = append(s.spare, c)
		}
	}()
	if src.value != nil {
		c.raw = append(c.raw[:0], src.value...)
	} else if ok, err := s.readBlock(src, c); !ok {
		return false, err
	}
	id, hash, _, _ := blockHead(c.raw)
	if id != s.query.Device {
		return false, nil // what led here is damaged, and the block is whole
	}
	schema, err := s.schema(hash)
	if err != nil {
		return false, err
	}
	if schema == nil || c.parse(schema, s.query.Channels) != nil || c.data.Times[c.sample(0)] != src.first {
		s.passOver(src)
		return false, nil
	}
	src.contents = c
	s.loaded++
	return true, nil
}

// readBlock reads a block from the file into c.raw. It returns false if the block is damaged, or deleted meanwhile.
func (s *scan) readBlock(src *source, c *contents) (bool, error) {
	number := src.number
	err := s.h.file.View(func(tx *bolt.Tx) error {
		c.raw = append(c.raw[:0], tx.Bucket(bucketBlocks).Get(numberKey(number))...)
		return nil
	})
	if err != nil {
		return false, err
	}
	if s.read++; s.read%releaseEvery == 0 {
		if err := s.h.file.Release(); err != nil {
			return false, err
		}
	}
	if checkBlock(c.raw, number) {
		return true, nil
	}
	s.h.mu.Lock()
	gone := len(c.raw) == 0 && (number < s.h.edge.number || s.removals != s.h.removals)
	s.h.mu.Unlock()
	if !gone {
		s.passOver(src)
	}
	return false, nil
}

// schema returns a schema, nil if the file has none that could be read.
func (s *scan) schema(hash device.Hash) (*device.Schema, error) {
	schema, ok := s.schemas[hash]
	if ok {
		return schema, nil
	}
	err := s.h.file.View(func(tx *bolt.Tx) error {
		schema = readSchema(tx, hash)
		return nil
	})
	s.schemas[hash] = schema
	return schema, err
}

// readSchema returns a schema from the file, nil if it is missing or damaged.
func readSchema(tx *bolt.Tx, hash device.Hash) *device.Schema {
	message := slices.Clone(tx.Bucket(bucketSchemas).Get(hash[:]))
	if len(message) == 0 || device.HashSchema(message) != hash {
		return nil
	}
	m, err := device.ParseControl(message)
	schema, ok := m.(*device.Schema)
	if err != nil || !ok {
		return nil
	}
	return schema
}

// contents returns memory for a block, that of the one needed last if there are many.
func (s *scan) contents() *contents {
	if s.loaded >= maxLoaded {
		var last *source
		for _, src := range s.open {
			if src.contents != nil && (last == nil || last.head.before(src.head)) {
				last = src
			}
		}
		s.unload(last)
	}
	if n := len(s.spare); n > 0 {
		c := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return c
	}
	return &contents{}
}

func (s *scan) unload(src *source) {
	s.spare = append(s.spare, src.contents)
	src.contents = nil
	s.loaded--
}

// skipToLow passes the samples before the bounds, and returns false if none is left.
func (s *scan) skipToLow(src *source) bool {
	c := src.contents
	for src.at < len(c.data.Times) && c.data.Times[c.sample(src.at)] < s.bounds.low {
		src.at++
	}
	if s.advance(src) {
		return true
	}
	s.unload(src)
	return false
}

// advance finds the head of a source, and returns false if nothing is left that is wanted.
func (s *scan) advance(src *source) bool {
	c := src.contents
	if src.at == len(c.data.Times) {
		return false
	}
	i := c.sample(src.at)
	src.head = sampleKey{time: c.data.Times[i], position: c.parts[c.partOf[i]].position, number: src.number}
	return src.head.time <= s.bounds.high
}

// drain reads the top source as long as it comes before all others and before the time next, when another block begins.
func (s *scan) drain(next int64, yield func(Reading, error) bool) error {
	src := s.open[0]
	if src.contents == nil {
		ok, err := s.load(src)
		if err != nil {
			return err
		}
		if !ok {
			heap.Pop(&s.open)
			return nil
		}
	}
	limit := s.open.second()
	for first := true; first || src.head.before(limit) && src.head.time < next; first = false {
		if !src.contents.readings(src.contents.sample(src.at), s.query.Device, yield) {
			return errStopped
		}
		src.at++
		if !s.advance(src) {
			heap.Pop(&s.open)
			s.unload(src)
			return nil
		}
	}
	heap.Fix(&s.open, 0)
	return nil
}
