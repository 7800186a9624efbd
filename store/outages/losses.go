package outages

import (
	"math"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxJumps is how many jumps a stream remembers, the newest.
const maxJumps = 8

// jump is where the numbers of a stream went on with some left out. If the frames from first to last ever come, or are
// declared lost, they are of the time from from to to.
type jump struct {
	first, last uint64
	from, to    int64 // µs since 1970; from noTime: not known
}

// loss is frames that the device declared lost.
type loss struct {
	_        struct{} `cbor:",toarray"`
	Declared int64    // ms since 1970
	From, To int64    // µs since 1970: the last reading before them, the first one after them or, if there is none, Declared
	First    uint64   // sequence number
	Count    uint64   // frames
	Reason   device.LostReason
}

// course is what a stream knows of the times of its frames. It lives in memory: the journal tells it again, from the last
// checkpoint on.
type course struct {
	newest int64 // µs since 1970, the last reading of the frame with the highest number; 0: not known
	jumps  []jump
	open   *loss // the newest frames, lost; what comes next says when that was over
}

// reached notes a new frame of a stream whose highest number was highest.
func (a *account) reached(set *streamSet, highest uint64, d *device.Data, offset int64) {
	if d.Seq <= highest {
		return
	}
	first, last := d.Times[0]+offset, d.Times[len(d.Times)-1]+offset
	switch {
	case d.Seq != highest+1:
		set.jumps = append(set.jumps, jump{highest + 1, d.Seq - 1, a.newestOf(set), first})
		set.jumps = slices.Delete(set.jumps, 0, max(0, len(set.jumps)-maxJumps))
	case set.open != nil && set.open.From <= first && first < set.open.To:
		set.open.To = first
		a.noted = true
	}
	set.newest, set.open = last, nil
}

// newestOf is the time of the newest reading before something that happens to a stream now.
func (a *account) newestOf(set *streamSet) int64 {
	if set.newest != 0 {
		return set.newest
	}
	return a.lastData
}

// lose enters a range of numbers that the device declares lost into the books.
func (a *account) lose(set *streamSet, first, last uint64, reason device.LostReason, received time.Time) {
	highest := set.settled.Max()
	n := set.settled.AddRange(first, last)
	a.lost += n
	if n == 0 || reason == device.LostUnsent {
		return
	}
	from, to := int64(noTime), int64(math.MaxInt64)
	for _, j := range set.jumps {
		if j.first <= first && first <= j.last {
			from = j.from
		}
		if j.first <= last && last <= j.last {
			to = j.to
		}
	}
	if first > highest {
		from = a.newestOf(set)
	}
	if last > highest {
		to = received.UnixMicro()
	}
	if from == noTime || to <= from || to == math.MaxInt64 {
		return // it is not known when that was
	}
	l := &loss{Declared: received.UnixMilli(), From: from, To: to, First: first, Count: n, Reason: reason}
	if slices.ContainsFunc(a.losses, func(old *loss) bool { return old.Declared == l.Declared && old.First == first }) {
		return // a start reads it in the journal once more
	}
	a.losses = append(a.losses, l)
	a.losses = slices.Delete(a.losses, 0, max(0, len(a.losses)-maxLosses))
	a.noted = true
	if last > highest {
		set.open = l
	}
}
