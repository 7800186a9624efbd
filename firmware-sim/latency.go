package firmwaresim

import (
	"math/bits"
	"sync/atomic"
	"time"
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
