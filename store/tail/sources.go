package tail

import (
	"sync"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Source is where frames come from: one stream of one device under one schema. Journal entries name it by a number, and
// each segment defines the numbers it uses, so that a segment can be read without hub.db. It does not change.
type Source struct {
	Number  uint64
	Device  string
	Stream  uint64
	Hash    device.Hash // of Message
	Message []byte      // SCHEMA
	Schema  *device.Schema
}

// NewSource makes a source of its SCHEMA message, which it keeps.
func NewSource(number uint64, deviceID string, stream uint64, message []byte) (*Source, error) {
	m, err := device.ParseControl(message)
	if err != nil {
		return nil, err
	}
	schema, ok := m.(*device.Schema)
	if !ok {
		return nil, ErrEntry
	}
	return &Source{
		Number: number, Device: deviceID, Stream: stream,
		Hash: device.HashSchema(message), Message: message, Schema: schema,
	}, nil
}

type sourceKey struct {
	device string
	stream uint64
	hash   device.Hash
}

func (s *Source) key() sourceKey { return sourceKey{s.Device, s.Stream, s.Hash} }

// Sources are those that the held segments define, and those in use. The methods are safe for concurrent use.
type Sources struct {
	mu       sync.RWMutex
	byNumber map[uint64]*definition
	byKey    map[sourceKey]*definition
	last     uint64   // highest number ever given
	pruned   []uint64 // numbers to be deleted from hub.db
}

// definition is a source and where it is defined.
type definition struct {
	source   *Source
	segment  uint64 // the newest segment that defines it, as counted by the batches
	written  uint64 // the newest one that does so on disk; 0: none since the start
	position uint64 // of the newest definition on disk; 0: there is none
	recorded uint64 // what hub.db has as position; 0: it does not have the source
}

// underWay tells whether a definition is in a batch that is not on disk yet.
func (d *definition) underWay() bool { return d.segment != d.written }

// Get returns a source, nil if it is not known.
func (ss *Sources) Get(number uint64) *Source {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	if d := ss.byNumber[number]; d != nil {
		return d.source
	}
	return nil
}

// Len is how many sources there are.
func (ss *Sources) Len() int {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	return len(ss.byNumber)
}

// Restore makes a source known that is defined at a position of the journal; saved says whether hub.db has it like that.
func (ss *Sources) Restore(s *Source, position uint64, saved bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	d := &definition{source: s, position: position}
	if old := ss.byNumber[s.Number]; old != nil {
		d.recorded = old.recorded
	}
	if saved {
		d.recorded = position
	}
	ss.put(d)
}

func (ss *Sources) put(d *definition) {
	if ss.byNumber == nil {
		ss.byNumber, ss.byKey = map[uint64]*definition{}, map[sourceKey]*definition{}
	}
	ss.byNumber[d.source.Number] = d
	ss.byKey[d.source.key()] = d
	ss.last = max(ss.last, d.source.Number)
}

// Define returns the source that is like s but for its number, and whether a segment, as counted by the batches, has yet to define it:
// then the caller does so. Calls are in the order of the segments.
func (ss *Sources) Define(s Source, segment uint64) (source *Source, undefined bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	d := ss.byKey[s.key()]
	if d == nil {
		s.Number = ss.last + 1
		d = &definition{source: &s}
		ss.put(d)
	}
	if d.segment == segment {
		return d.source, false
	}
	d.segment = segment
	return d.source, true
}

// Written says that definitions are on disk, in a block that begins at a position. segment is that for which Define asked for them, or 0:
// they are there once more.
func (ss *Sources) Written(sources []*Source, segment, first uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range sources {
		if d := ss.byNumber[s.Number]; d != nil {
			d.written, d.position = max(d.written, segment), first
		}
	}
}

// OnDisk returns the sources that are defined on disk.
func (ss *Sources) OnDisk() []*Source {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	var sources []*Source
	for _, d := range ss.byNumber {
		if d.position != 0 {
			sources = append(sources, d.source)
		}
	}
	return sources
}

// SourceChange is what hub.db has to be told of sources.
type SourceChange struct {
	Add       []*Source
	Positions []uint64 // of the definitions of those in Add
	Remove    []uint64 // numbers
}

// TakeChange returns what hub.db does not have yet, or with the position of an older definition: after a start it would seem as if no
// segment that is held defined it any more. Returned or Saved says what became of it.
func (ss *Sources) TakeChange() SourceChange {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	c := SourceChange{Remove: ss.pruned}
	ss.pruned = nil
	for _, d := range ss.byNumber {
		if d.recorded != d.position {
			c.Add, c.Positions = append(c.Add, d.source), append(c.Positions, d.position)
		}
	}
	return c
}

// Saved says that hub.db has a change.
func (ss *Sources) Saved(c *SourceChange) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for i, s := range c.Add {
		if d := ss.byNumber[s.Number]; d != nil {
			d.recorded = c.Positions[i]
		} else {
			ss.pruned = append(ss.pruned, s.Number) // forgotten meanwhile
		}
	}
}

// Returned says that a change could not be written.
func (ss *Sources) Returned(c *SourceChange) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.pruned = append(c.Remove, ss.pruned...)
}

// Prune forgets the sources that no held segment defines, the oldest of which begins at a position. A connection that still uses one
// defines it again.
func (ss *Sources) Prune(first uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for number, d := range ss.byNumber {
		if d.position >= first || d.underWay() {
			continue
		}
		delete(ss.byNumber, number)
		if ss.byKey[d.source.key()] == d {
			delete(ss.byKey, d.source.key())
		}
		if d.recorded != 0 {
			ss.pruned = append(ss.pruned, number)
		}
	}
}
