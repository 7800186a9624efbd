package firmwaresim

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

const (
	subBuckets  = 16 // of each power of two: a quantile is off by at most 1/16
	histBuckets = 40 * subBuckets
)

// histogram counts durations in buckets that grow with them. It is safe for concurrent use.
type histogram struct {
	count   atomic.Uint64
	buckets [histBuckets]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	h.count.Add(1)
	h.buckets[bucketOf(uint64(max(d, 0)/time.Microsecond))].Add(1)
}

// bucketOf keeps the first four binary digits behind the leading one.
func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 5
	return min((shift+1)*subBuckets+int(us>>shift)-subBuckets, histBuckets-1)
}

// bucketEnd is the first duration beyond the bucket.
func bucketEnd(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b+1) * time.Microsecond
	}
	shift := b/subBuckets - 1
	return time.Duration((uint64(b%subBuckets+subBuckets)+1)<<shift) * time.Microsecond
}

// quantile is the duration that a share q of all durations does not exceed; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	total := h.count.Load()
	if total == 0 {
		return 0
	}
	rank := min(uint64(q*float64(total)), total-1)
	for b := range h.buckets {
		n := h.buckets[b].Load()
		if rank < n {
			return bucketEnd(b)
		}
		rank -= n
	}
	return bucketEnd(histBuckets - 1)
}

func (h *histogram) reset() {
	for b := range h.buckets {
		h.buckets[b].Store(0)
	}
	h.count.Store(0)
}

// meter measures what goes over the wire of a whole fleet.
type meter struct {
	frames atomic.Uint64 // transmissions
	bytes  atomic.Uint64 // of their DATA messages
	ack    histogram     // from a frame's transmission to its acknowledgement
}

// watch returns the trace of one more device.
func (m *meter) watch() *client.Trace {
	// More frames in flight than this only go unmeasured.
	type flight struct {
		seq uint64
		at  time.Time
	}
	var flights [64]flight
	landed := func(f *flight) {
		m.ack.add(time.Since(f.at))
		f.seq = 0
	}
	return &client.Trace{
		Sent: func(seq uint64, bytes int) {
			m.frames.Add(1)
			m.bytes.Add(uint64(bytes))
			flights[seq%uint64(len(flights))] = flight{seq, time.Now()}
		},
		Settled: func(ranges device.Ranges) {
			for _, r := range ranges {
				for i := range flights {
					if f := &flights[i]; f.seq != 0 && r.First <= f.seq && f.seq <= r.Last {
						landed(f)
					}
				}
			}
		},
	}
}
