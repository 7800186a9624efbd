package history

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	// maxStretches bounds the memory for a coverage. Above it the shorter half of the gaps is filled.
	maxStretches = 2048
	// maxGaps is how many gaps are told: the longest.
	maxGaps = 256
	// gapFactor is how many times the expected time between samples has to pass for a gap.
	gapFactor = 3
	// defaultExpected is taken for a device that neither says nor shows how often it sends.
	defaultExpected = 10 * time.Second
)

// stretch is from one sample to another with no gap between them, µs since 1970.
type stretch struct{ first, last int64 }

// coverage knows where samples lie. Its stretches ascend, with gaps above limit between them.
type coverage struct {
	stretches []stretch
	at        int    // the stretch that got the last sample
	limit     uint64 // µs
	spacing   histogram
}

func newCoverage(expected time.Duration) coverage {
	return coverage{limit: gapFactor * uint64(max(expected, 0).Microseconds())}
}

// add takes a sample. Most follow closely the one before.
func (c *coverage) add(t int64) {
	if len(c.stretches) == 0 {
		c.stretches = append(c.stretches, stretch{t, t})
		return
	}
	s := &c.stretches[c.at]
	if t >= s.last {
		ahead := uint64(t) - uint64(s.last)
		c.spacing.add(ahead)
		if ahead <= c.limit && c.at == len(c.stretches)-1 {
			s.last = t
			return
		}
	}
	c.insert(t)
}

// insert takes a sample that may be anywhere.
func (c *coverage) insert(t int64) {
	// Stretch i-1 begins at or before t, stretch i behind it.
	i := sort.Search(len(c.stretches), func(i int) bool { return c.stretches[i].first > t })
	joinsBefore := i > 0 && (t <= c.stretches[i-1].last || uint64(t)-uint64(c.stretches[i-1].last) <= c.limit)
	joinsAfter := i < len(c.stretches) && uint64(c.stretches[i].first)-uint64(t) <= c.limit
	switch {
	case joinsBefore && joinsAfter:
		c.stretches[i-1].last = c.stretches[i].last
		c.stretches = slices.Delete(c.stretches, i, i+1)
		c.at = i - 1
	case joinsBefore:
		c.stretches[i-1].last = max(c.stretches[i-1].last, t)
		c.at = i - 1
	case joinsAfter:
		c.stretches[i].first = t
		c.at = i
	default:
		c.stretches = slices.Insert(c.stretches, i, stretch{t, t})
		if c.at = i; len(c.stretches) > maxStretches {
			c.thin(maxStretches / 2)
		}
	}
}

// thin fills the shortest gaps until at most n stretches are left.
func (c *coverage) thin(n int) {
	lengths := make([]uint64, 0, len(c.stretches))
	for i := 1; i < len(c.stretches); i++ {
		lengths = append(lengths, c.before(i))
	}
	if len(lengths) < n {
		return
	}
	slices.Sort(lengths)
	c.fill(lengths[len(lengths)-n])
}

// before is how long the gap before stretch i is.
func (c *coverage) before(i int) uint64 {
	return uint64(c.stretches[i].first) - uint64(c.stretches[i-1].last)
}

// fill raises the limit and joins what lies no further apart.
func (c *coverage) fill(limit uint64) {
	if limit <= c.limit || len(c.stretches) == 0 {
		return
	}
	c.limit = limit
	kept := c.stretches[:1]
	for _, s := range c.stretches[1:] {
		if end := &kept[len(kept)-1]; uint64(s.first)-uint64(end.last) <= limit {
			end.last = s.last
		} else {
			kept = append(kept, s)
		}
	}
	c.stretches, c.at = kept, len(kept)-1
}

// gaps returns the gaps within the bounds, those at its ends too.
func (c *coverage) gaps(expected time.Duration, b bounds) (gaps []Span, least, spacing time.Duration) {
	observed := c.spacing.median()
	usual := max(uint64(max(expected, 0).Microseconds()), observed)
	if usual == 0 {
		usual = uint64(defaultExpected.Microseconds())
	}
	spacing = micros(observed)
	// What lies before the first sample and behind the last one is a gap like the others.
	c.stretches = append(append([]stretch{{b.low, b.low}}, c.stretches...), stretch{b.high, b.high})
	limit := max(c.limit, gapFactor*min(usual, math.MaxUint64/gapFactor))
	c.limit = 0
	c.fill(limit)
	c.thin(maxGaps)
	for i := 1; i < len(c.stretches); i++ {
		gaps = append(gaps, Span{device.Moment(c.stretches[i-1].last), device.Moment(c.stretches[i].first)})
	}
	return gaps, micros(c.limit), spacing
}

func micros(n uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
}

// histogram counts lengths of time by magnitude, eight steps for each doubling.
type histogram struct {
	counts [62 * 8]uint64
	total  uint64
}

func (h *histogram) add(n uint64) {
	if n == 0 {
		return // samples of the same moment
	}
	h.total++
	h.counts[magnitude(n)]++
}

// magnitude is n's four highest bits and how many follow them; the numbers below 8 stand for themselves.
func magnitude(n uint64) int {
	shift := max(bits.Len64(n)-4, 0)
	return shift*8 + int(n>>shift)
}

// median is the upper end of the step that holds the median, 0 if fewer than 3 lengths were counted.
func (h *histogram) median() uint64 {
	if h.total < 3 {
		return 0
	}
	left := h.total / 2
	for i, n := range h.counts {
		if n > left {
			shift := max(i/8-1, 0)
			return uint64(i-shift*8+1)<<shift - 1
		}
		left -= n
	}
	return math.MaxUint64 // not reached: the counts make up the total
}
