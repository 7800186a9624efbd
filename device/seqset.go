package device

import (
	"slices"
	"sort"
)

// SeqSet is a set of sequence numbers, kept as the fewest possible intervals. The zero value is the empty set.
//
// Sequence numbers mostly arrive in order, so the highest interval stands apart: a set without holes, however large, is
// one small struct, and adding Max()+1 neither searches nor allocates. Elsewhere a change costs a binary search and moves
// the intervals above it. Sequence numbers start at 1; 0 is never a member.
//
// A SeqSet must not be copied: the copy would share memory with the original.
type SeqSet struct {
	lower []Range // ascending, disjoint, not adjacent, all below last
	last  Range   // the highest interval; Last is 0 in the empty set
	count uint64  // members
}

// Reset empties the set and keeps its memory.
func (s *SeqSet) Reset() { *s = SeqSet{lower: s.lower[:0]} }

// Add puts seq into the set and returns false if it was there already.
func (s *SeqSet) Add(seq uint64) bool {
	if seq != 0 && seq == s.last.Last+1 && s.last.Last != 0 {
		s.last.Last, s.count = seq, s.count+1
		return true
	}
	return s.AddRange(seq, seq) == 1
}

// AddRange puts first to last into the set and returns how many of them were not there before.
func (s *SeqSet) AddRange(first, last uint64) uint64 {
	first = max(first, 1)
	if last < first {
		return 0
	}
	before := s.count
	switch {
	case s.last.Last == 0:
		s.last, s.count = Range{first, last}, last-first+1
	case first > s.last.Last && first-s.last.Last > 1:
		s.lower = append(s.lower, s.last)
		s.last, s.count = Range{first, last}, s.count+last-first+1
	default:
		s.merge(first, last)
	}
	return s.count - before
}

// merge adds a range that does not lie wholly above the set.
func (s *SeqSet) merge(first, last uint64) {
	// lower[i:j] are the intervals that the range overlaps or touches.
	i := sort.Search(len(s.lower), func(k int) bool { return s.lower[k].Last >= first-1 })
	j := i + sort.Search(len(s.lower)-i, func(k int) bool { return s.lower[i+k].First > last && s.lower[i+k].First-last > 1 })
	joined := Range{first, last}
	covered := Ranges(s.lower[i:j]).Count()
	if i < j {
		joined.First = min(joined.First, s.lower[i].First)
		joined.Last = max(joined.Last, s.lower[j-1].Last)
	}
	if last >= s.last.First-1 {
		covered += s.last.Last - s.last.First + 1
		joined = Range{min(joined.First, s.last.First), max(joined.Last, s.last.Last)}
		s.last, s.lower = joined, s.lower[:i]
		if i == 0 {
			s.lower = nil // most sets stay without holes from here on
		}
	} else {
		s.lower = slices.Replace(s.lower, i, j, joined)
	}
	s.count += joined.Last - joined.First + 1 - covered
}

// Contains tells whether seq is in the set.
func (s *SeqSet) Contains(seq uint64) bool {
	if seq >= s.last.First {
		return seq <= s.last.Last && seq != 0
	}
	i := s.search(seq)
	return i < len(s.lower) && s.lower[i].First <= seq
}

// search is the index of the first lower interval that does not end below seq.
func (s *SeqSet) search(seq uint64) int {
	return sort.Search(len(s.lower), func(k int) bool { return s.lower[k].Last >= seq })
}

// Max is the highest member, 0 if there is none.
func (s *SeqSet) Max() uint64 { return s.last.Last }

// Len is the number of intervals.
func (s *SeqSet) Len() int {
	if s.last.Last == 0 {
		return 0
	}
	return len(s.lower) + 1
}

// Count is the number of members.
func (s *SeqSet) Count() uint64 { return s.count }

// Fits tells whether the set has at most limit intervals after Add(seq), or at least not more than before.
func (s *SeqSet) Fits(seq uint64, limit int) bool {
	return s.Len() < limit || seq == 0 || s.Contains(seq) || s.Contains(seq-1) || s.Contains(seq+1)
}

// Ranges returns all intervals, lowest first.
func (s *SeqSet) Ranges() Ranges { return s.AppendRanges(make(Ranges, 0, s.Len()), s.Len()) }

// AppendRanges appends at most limit intervals to dst: all of them if they are not more, else the lowest and, as the last
// one, always the highest.
func (s *SeqSet) AppendRanges(dst Ranges, limit int) Ranges {
	if s.last.Last == 0 || limit <= 0 {
		return dst
	}
	dst = append(dst, s.lower[:min(len(s.lower), limit-1)]...)
	return append(dst, s.last)
}

// Missing appends to dst the holes of the set within first to last, lowest first, at most limit of them.
func (s *SeqSet) Missing(first, last uint64, dst Ranges, limit int) Ranges {
	next := max(first, 1) // all below it are in the set, in dst or out of the question
	for i := s.search(next); i < s.Len() && limit > 0 && next <= last; i++ {
		here := s.interval(i)
		if here.Last < next {
			break // this is the highest
		}
		if here.First > next {
			dst = append(dst, Range{next, min(last, here.First-1)})
			limit--
		}
		if here.Last >= last {
			return dst
		}
		next = here.Last + 1
	}
	if limit > 0 && next <= last {
		dst = append(dst, Range{next, last})
	}
	return dst
}

// interval is the i-th interval.
func (s *SeqSet) interval(i int) Range {
	if i < len(s.lower) {
		return s.lower[i]
	}
	return s.last
}
