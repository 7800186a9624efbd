package export

import (
	"math"
	"slices"
)

// maxSpans bounds how many separate spans of positions wait for export. Above it two neighbours become one, and what lies
// between them is exported once more, which changes nothing in InfluxDB.
const maxSpans = 64

// span is the journal positions from first to next, without next.
type span struct{ first, next uint64 }

// endless is the next of a span that goes on with the journal.
const endless = math.MaxUint64

// positions is a set of journal positions: spans that ascend and do not touch.
type positions []span

// first is the lowest position, endless if there is none.
func (p positions) first() uint64 {
	if len(p) == 0 {
		return endless
	}
	return p[0].first
}

// within returns the lowest span of the set that lies within limits, cut to them.
func (p positions) within(limits span) (span, bool) {
	for _, s := range p {
		s.first, s.next = max(s.first, limits.first), min(s.next, limits.next)
		if s.first < s.next {
			return s, true
		}
	}
	return span{}, false
}

// count is how many positions before end the set has.
func (p positions) count(end uint64) (n uint64) {
	for _, s := range p {
		if next := min(s.next, end); s.first < next {
			n += next - s.first
		}
	}
	return n
}

// remove takes the positions of s out of the set.
func (p positions) remove(s span) positions {
	if s.first >= s.next {
		return p
	}
	var rest positions
	for _, old := range p {
		if before := (span{old.first, min(old.next, s.first)}); before.first < before.next {
			rest = append(rest, before)
		}
		if after := (span{max(old.first, s.next), old.next}); after.first < after.next && after.next > s.first {
			rest = append(rest, after)
		}
	}
	return rest
}

// bounded returns the set with at most limit spans, which may have more positions than before.
func (p positions) bounded(limit int) positions {
	for len(p) > limit {
		closest := 1
		for i := 2; i < len(p); i++ {
			if p[i].first-p[i-1].next < p[closest].first-p[closest-1].next {
				closest = i
			}
		}
		p = slices.Clone(p)
		p[closest-1].next = p[closest].next
		p = slices.Delete(p, closest, closest+1)
	}
	return p
}
