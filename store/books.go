package store

import (
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

const (
	maxStreams = 1024 // of one device; the one unused for longest is forgotten
	maxBoots   = 64   // of one device, likewise

	// futureTolerance is how far ahead of the hub's clock a reading may be and still be believed: as one of its receipt.
	futureTolerance = 5 * time.Minute
)

// account is the books of one device, guarded by Store.mu.
type account struct {
	device  string
	streams []*streamSet // the one used last at the end
	boots   []bootOffset // the one recorded last at the end

	tally         // with the batch being filled
	writing tally // with the batch being written
	durable tally // of what is on disk, which is what people are told

	dirty   bool
	removed bool
	repeats uint64 // duplicates that the batch being filled has to record
}

// tally is what the books count.
type tally struct {
	frames       uint64
	readings     uint64
	duplicates   uint64
	rejected     uint64
	lost         uint64
	lastData     int64 // µs since 1970; noTime: none yet
	lastReceived int64 // µs since 1970; 0: none yet
}

const noTime = outages.NoTime

// streamSet is what is known of one stream: settled by the batches so far, and of that what is on disk.
type streamSet struct {
	id      uint64
	settled device.SeqSet
	durable device.SeqSet
	times   outages.Stream // of its frames
}

type bootOffset struct {
	_      struct{} `cbor:",toarray"`
	Boot   uint64
	Offset int64 // µs

	machine uint64 // the boot of the hub's machine in which it was measured; 0: not known
}

func (s *Store) account(deviceID string) *account {
	a := s.accounts[deviceID]
	if a == nil {
		a = &account{device: deviceID}
		a.lastData, a.writing.lastData, a.durable.lastData = noTime, noTime, noTime
		s.accounts[deviceID] = a
	}
	return a
}

// stream returns the set of a stream and makes it the one used last.
func (a *account) stream(id uint64) *streamSet {
	for i, set := range a.streams {
		if set.id == id {
			a.streams = append(append(a.streams[:i], a.streams[i+1:]...), set)
			return set
		}
	}
	if len(a.streams) >= maxStreams {
		a.streams = append(a.streams[:0], a.streams[1:]...)
	}
	set := &streamSet{id: id}
	a.streams = append(a.streams, set)
	return set
}

func (a *account) boot(boot uint64, offset int64, machine uint64) {
	for i := range a.boots {
		if a.boots[i].Boot == boot {
			a.boots[i].Offset, a.boots[i].machine = offset, machine
			return
		}
	}
	if len(a.boots) >= maxBoots {
		a.boots = append(a.boots[:0], a.boots[1:]...)
	}
	a.boots = append(a.boots, bootOffset{Boot: boot, Offset: offset, machine: machine})
}

// newest moves the time of the newest reading, which is never in the future.
func (a *account) newest(d *device.Data, offset, received int64) {
	limit := received + futureTolerance.Microseconds()
	if a.lastData > limit { // the hub's clock was set back
		a.lastData = noTime
	}
	for _, t := range d.Times {
		if t += offset; t <= limit {
			a.lastData = max(a.lastData, min(t, received))
		}
	}
	a.lastReceived = received
}

// stored notes when the readings of a new frame were, in a stream whose highest number was highest.
func (set *streamSet) stored(d *device.Data, offset int64, highest uint64, newest int64) {
	set.times.Stored(d.Seq, highest, d.Times[0]+offset, d.Times[len(d.Times)-1]+offset, newest)
}

// lose enters a range of numbers that the device declares lost into the books; mu is held.
func (s *Store) lose(a *account, set *streamSet, first, last uint64, reason device.LostReason, received time.Time) {
	highest := set.settled.Max()
	n := set.settled.AddRange(first, last)
	a.lost += n
	s.Outages.Lost(a.device, &set.times, &outages.LostFrames{
		First: first, Last: last, Count: n, Reason: reason, Received: received, Highest: highest, Newest: a.lastData,
	})
}

// holes counts the numbers below the highest durable one of each stream that are not durable.
func (a *account) holes() uint64 {
	var n uint64
	for _, set := range a.streams {
		n += set.durable.Max() - set.durable.Count()
	}
	return n
}

// Books are a device's accounts: frames sent = Frames + Rejected + Lost + Holes, once each; Duplicates came on top.
type Books struct {
	Frames       uint64    `json:"frames"`                 // stored
	Readings     uint64    `json:"readings"`               // in the stored frames
	Duplicates   uint64    `json:"duplicates"`             // dropped
	Rejected     uint64    `json:"rejected"`               // put on the dead-letter shelf
	Lost         uint64    `json:"lost"`                   // declared by the device
	Holes        uint64    `json:"holes"`                  // numbers below the highest of each stream that are none of the above
	Streams      int       `json:"streams"`                // device buffers seen
	LastData     time.Time `json:"last_data,omitzero"`     // of the newest reading that is not in the future
	LastReceived time.Time `json:"last_received,omitzero"` // when the newest frame came
	Base         int64     `json:"-"`                      // of the clock that LastReceived is by, see wallclock.Clock
}

// Books returns a device's accounts; zero for a device that never sent anything.
func (s *Store) Books(deviceID string) Books {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[deviceID]; a != nil {
		b := a.books()
		b.Base = s.books.Base()
		if now := s.books.Now(); b.LastReceived.After(now) {
			b.LastReceived = now.UTC() // it came in an earlier boot of the machine, whose clock was ahead
		}
		return b
	}
	return Books{}
}

func (a *account) books() Books {
	t := &a.durable
	b := Books{
		Frames: t.frames, Readings: t.readings, Duplicates: t.duplicates, Rejected: t.rejected, Lost: t.lost,
		Holes: a.holes(), Streams: len(a.streams),
	}
	if t.lastData != noTime {
		b.LastData = device.Moment(t.lastData)
	}
	if t.lastReceived != 0 {
		b.LastReceived = time.UnixMicro(t.lastReceived).UTC()
	}
	return b
}

// accountRecord is an account in hub.db.
type accountRecord struct {
	_            struct{} `cbor:",toarray"`
	Frames       uint64
	Readings     uint64
	Duplicates   uint64
	Rejected     uint64
	Lost         uint64
	LastData     int64
	LastReceived int64
	Streams      []streamRecord
	Boots        []bootOffset
}

type streamRecord struct {
	_       struct{} `cbor:",toarray"`
	ID      uint64
	Settled []uint64 // first, last, first, last, …
}

func (a *account) record() []byte {
	r := accountRecord{
		Frames: a.frames, Readings: a.readings, Duplicates: a.duplicates, Rejected: a.rejected, Lost: a.lost,
		LastData: a.lastData, LastReceived: a.lastReceived, Boots: a.boots,
		Streams: make([]streamRecord, len(a.streams)),
	}
	for i, set := range a.streams {
		r.Streams[i] = streamRecord{ID: set.id, Settled: flat(set.settled.Ranges())}
	}
	return hubdb.Encode(&r)
}

func flat(ranges device.Ranges) []uint64 {
	bounds := make([]uint64, 0, 2*len(ranges))
	for _, r := range ranges {
		bounds = append(bounds, r.First, r.Last)
	}
	return bounds
}

func parseAccount(deviceID string, b []byte) (*account, error) {
	var r accountRecord
	if err := cbor.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	a := &account{device: deviceID, boots: r.Boots, tally: tally{
		frames: r.Frames, readings: r.Readings, duplicates: r.Duplicates, rejected: r.Rejected, lost: r.Lost,
		lastData: r.LastData, lastReceived: r.LastReceived,
	}}
	a.writing, a.durable = a.tally, a.tally
	for _, sr := range r.Streams {
		set := &streamSet{id: sr.ID}
		for pair := range slices.Chunk(sr.Settled, 2) {
			if len(pair) != 2 || pair[0] == 0 || pair[0] > pair[1] {
				return nil, hubdb.ErrRecord
			}
			set.settled.AddRange(pair[0], pair[1])
			set.durable.AddRange(pair[0], pair[1])
		}
		a.streams = append(a.streams, set)
	}
	return a, nil
}
