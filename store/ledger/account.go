package ledger

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

const (
	maxStreams = 1024 // of one device; the one unused for longest is forgotten
	maxBoots   = 64   // of one device, likewise

	// futureTolerance is how far ahead of the hub's clock a reading may be and still be believed: as one of its receipt.
	futureTolerance = 5 * time.Minute
)

// account is the books of one device, guarded by Ledger.mu.
type account struct {
	device  string
	streams []*streamSet // the one used last at the end
	boots   []bootOffset // the one recorded last at the end

	counts         // with the batch being filled
	writing counts // with the batch being written
	durable counts // of what is on disk, which is what people are shown

	dirty   bool // changed since the last checkpoint
	removed bool
	repeats uint64 // duplicates that the batch being filled has to record
}

// counts is what the books count.
type counts struct {
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

// account returns a device's account, made if there is none; mu is held.
func (l *Ledger) account(deviceID string) *account {
	a := l.accounts[deviceID]
	if a == nil {
		a = &account{device: deviceID}
		a.lastData, a.writing.lastData, a.durable.lastData = noTime, noTime, noTime
		l.accounts[deviceID] = a
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

// store counts a new frame of a stream, whose highest number was highest. Its times are µs from hub time by offset.
func (a *account) store(set *streamSet, highest uint64, d *device.Data, offset, received int64) {
	a.frames++
	a.readings += uint64(d.Readings())
	set.times.Stored(d.Seq, highest, d.Times[0]+offset, d.Times[len(d.Times)-1]+offset, a.lastData)
	a.newest(d, offset, received)
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

// lose enters a range of numbers that a device declares lost; mu is held.
func (l *Ledger) lose(a *account, set *streamSet, first, last uint64, reason device.LostReason, received time.Time) {
	highest := set.settled.Max()
	n := set.settled.AddRange(first, last)
	a.lost += n
	l.outages.Lost(a.device, &set.times, &outages.LostFrames{
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
