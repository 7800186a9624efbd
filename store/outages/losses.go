package outages

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	maxLosses = 64 // of one device's frames, that are remembered
	maxJumps  = 8  // that a stream remembers, the newest
)

// NoTime stands for a time in µs since 1970 that is not known.
const NoTime = math.MinInt64

// jump is where the numbers of a stream went on with some left out. If the frames from first to last ever come, or are
// declared lost, they are of the time from from to to.
type jump struct {
	first, last uint64
	from, to    int64 // µs since 1970; from NoTime: not known
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

func (l *loss) text() string {
	reason := "its buffer was full"
	if l.Reason == device.LostCorrupted {
		reason = "its buffer was damaged"
	}
	return fmt.Sprintf("the device declared %d frames lost: %s", l.Count, reason)
}

// Stream is what is known of the times of one stream's frames. It lives in memory: the journal says it again, from the last
// checkpoint on. It is guarded by its owner, who has one for each stream of a device.
type Stream struct {
	newest int64 // µs since 1970, the last reading of the frame with the highest number; 0: not known
	jumps  []jump
	open   *openLoss // the newest frames, lost; what comes next says when that was over
}

// openLoss is a loss whose end is not known yet.
type openLoss struct {
	log    *Log
	device *deviceLog
	loss   *loss
}

// Stored notes a new frame of a stream: its number, the highest one before it, when its first and its last reading was, and
// when the newest reading of the device before it was, or NoTime. Times are in µs since 1970.
func (s *Stream) Stored(seq, highest uint64, first, last, newest int64) {
	if seq <= highest {
		return
	}
	if seq != highest+1 {
		s.jumps = append(s.jumps, jump{highest + 1, seq - 1, s.newestOr(newest), first})
		s.jumps = slices.Delete(s.jumps, 0, max(0, len(s.jumps)-maxJumps))
	} else if s.open != nil {
		s.open.end(first)
	}
	s.newest, s.open = last, nil
}

// newestOr is the time of the newest reading before something that happens to the stream now.
func (s *Stream) newestOr(ofDevice int64) int64 {
	if s.newest != 0 {
		return s.newest
	}
	return ofDevice
}

// end says when the first reading behind a loss was.
func (o *openLoss) end(at int64) {
	o.log.mu.Lock()
	defer o.log.mu.Unlock()
	if o.loss.From <= at && at < o.loss.To {
		o.loss.To = at
		o.device.changed = true
	}
}

// LostFrames are frames of a stream that its device declared lost.
type LostFrames struct {
	First, Last uint64 // sequence numbers
	Count       uint64 // how many of them were not settled before
	Reason      device.LostReason
	Received    time.Time // when that was declared
	Highest     uint64    // number of the stream before
	Newest      int64     // reading of the device before, µs since 1970, or NoTime
}

// Lost enters frames that a device declared lost, as far as it is known of when they were.
func (l *Log) Lost(deviceID string, s *Stream, f *LostFrames) {
	if f.Count == 0 || f.Reason == device.LostUnsent {
		return
	}
	from, to := int64(NoTime), int64(math.MaxInt64)
	for _, j := range s.jumps {
		if j.first <= f.First && f.First <= j.last {
			from = j.from
		}
		if j.first <= f.Last && f.Last <= j.last {
			to = j.to
		}
	}
	if f.First > f.Highest {
		from = s.newestOr(f.Newest)
	}
	if f.Last > f.Highest {
		to = f.Received.UnixMicro()
	}
	if from == NoTime || to <= from || to == math.MaxInt64 {
		return // it is not known when that was
	}
	lost := &loss{Declared: f.Received.UnixMilli(), From: from, To: to, First: f.First, Count: f.Count, Reason: f.Reason}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of(deviceID)
	if slices.ContainsFunc(h.losses, func(old *loss) bool { return old.Declared == lost.Declared && old.First == lost.First }) {
		return // a start reads it in the journal once more
	}
	h.losses = append(h.losses, lost)
	h.losses = slices.Delete(h.losses, 0, max(0, len(h.losses)-maxLosses))
	h.changed = true
	if f.Last > f.Highest {
		s.open = &openLoss{l, h, lost}
	}
}
