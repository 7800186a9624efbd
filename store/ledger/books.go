package ledger

import (
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// Books are a device's accounts: frames sent = Frames + Rejected + Lost + Holes, once each; Duplicates came on top.
type Books struct {
	Frames       uint64    `json:"frames"`                 // stored
	Readings     uint64    `json:"readings"`               // in the stored frames
	Duplicates   uint64    `json:"duplicates"`             // dropped
	Rejected     uint64    `json:"rejected"`               // kept as dead letters
	Lost         uint64    `json:"lost"`                   // declared by the device
	Holes        uint64    `json:"holes"`                  // numbers below the highest of each stream that are none of the above
	Streams      int       `json:"streams"`                // device buffers seen
	LastData     time.Time `json:"last_data,omitzero"`     // of the newest reading that is not in the future
	LastReceived time.Time `json:"last_received,omitzero"` // when the newest frame came
	Base         int64     `json:"-"`                      // of the clock that LastReceived is by, see wallclock.Clock
}

// Books returns a device's accounts; zero for a device that never sent anything.
func (l *Ledger) Books(deviceID string) Books {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[deviceID]
	if a == nil {
		return Books{}
	}
	b := a.books()
	b.Base = l.clock.Base()
	if now := l.clock.Now(); b.LastReceived.After(now) {
		b.LastReceived = now.UTC() // it came in an earlier boot of the machine, whose clock was ahead
	}
	return b
}

func (a *account) books() Books {
	c := &a.durable
	b := Books{
		Frames: c.frames, Readings: c.readings, Duplicates: c.duplicates, Rejected: c.rejected, Lost: c.lost,
		Holes: a.holes(), Streams: len(a.streams),
	}
	if c.lastData != noTime {
		b.LastData = device.Moment(c.lastData)
	}
	if c.lastReceived != 0 {
		b.LastReceived = time.UnixMicro(c.lastReceived).UTC()
	}
	return b
}

// Totals adds up the counters of all devices, which holds up the sessions for a moment.
func (l *Ledger) Totals() (sum Books) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		sum.Frames += a.durable.frames
		sum.Readings += a.durable.readings
		sum.Duplicates += a.durable.duplicates
		sum.Rejected += a.durable.rejected
		sum.Lost += a.durable.lost
		sum.Holes += a.holes()
	}
	return sum
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
	a := &account{device: deviceID, boots: r.Boots, counts: counts{
		frames: r.Frames, readings: r.Readings, duplicates: r.Duplicates, rejected: r.Rejected, lost: r.Lost,
		lastData: r.LastData, lastReceived: r.LastReceived,
	}}
	a.writing, a.durable = a.counts, a.counts
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

// bootsRecord says in hub.db which of a device's boots were measured in the present boot of the hub's machine: when the clock is
// set, their offsets change by as much.
type bootsRecord struct {
	_       struct{} `cbor:",toarray"`
	Machine uint64
	Boots   []uint64
}

func (a *account) bootsRecord(machine uint64) []byte {
	r := bootsRecord{Machine: machine}
	for i := range a.boots {
		if a.boots[i].machine == machine {
			r.Boots = append(r.Boots, a.boots[i].Boot)
		}
	}
	return hubdb.Encode(&r)
}
