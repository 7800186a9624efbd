package client

import (
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxLostRanges is how many ranges are kept apart. Beyond it two are joined when nothing between them is held: the hub has
// settled those numbers, and LOST changes nothing about what is settled.
const maxLostRanges = 256

// lostRange is a range of frames that are gone and that the hub has not acknowledged as lost.
type lostRange struct {
	first, last uint64
	reason      device.LostReason
	sent        uint64 // connection on which LOST was last sent; 0: never
	vague       bool   // holds settled numbers too
}

// lose declares first to last gone.
func (b *buffer) lose(first, last uint64, reason device.LostReason) {
	if b.log != nil {
		b.log.lost(first, last, reason)
	}
	i, _ := slices.BinarySearchFunc(b.lost, first, func(r lostRange, seq uint64) int {
		if r.first < seq {
			return -1
		}
		return 1
	})
	b.lost = slices.Insert(b.lost, i, lostRange{first: first, last: last, reason: reason})
	if i+1 < len(b.lost) {
		b.joinLost(i)
	}
	if i > 0 {
		b.joinLost(i - 1)
	}
}

// joinLost makes one range of lost[i] and the next one if the hub is to be told the same of both, and tells whether it did.
func (b *buffer) joinLost(i int) bool {
	r, next := &b.lost[i], b.lost[i+1]
	if r.reason != next.reason || r.sent != next.sent {
		return false
	}
	if r.last+1 != next.first {
		if len(b.lost) <= maxLostRanges || b.holds(r.last, next.first) {
			return false
		}
		r.vague = true
	}
	r.last, r.vague = next.last, r.vague || next.vague
	b.lost = slices.Delete(b.lost, i+1, i+2)
	return true
}

// holds tells whether a frame between the two numbers is held.
func (b *buffer) holds(first, last uint64) bool {
	f := b.heldFrom(first)
	return f != nil && f.seq < last
}

// settleLost removes first to last from the lost ranges and returns how many numbers that were. What the hub has settled
// before it was ever told LOST is not lost: the acknowledgement had gone missing, not the frame.
func (b *buffer) settleLost(first, last uint64) uint64 {
	n := uint64(0)
	for i := 0; i < len(b.lost); i++ {
		r := b.lost[i]
		from, to := max(first, r.first), min(last, r.last)
		if from > to {
			continue
		}
		n += to - from + 1
		if r.sent == 0 && !r.vague {
			b.lostCount -= to - from + 1
			b.acked += to - from + 1
		}
		var rest []lostRange
		if r.first < from {
			below := r
			below.last = from - 1
			rest = append(rest, below)
		}
		if to < r.last {
			above := r
			above.first = to + 1
			rest = append(rest, above)
		}
		b.lost = slices.Replace(b.lost, i, i+1, rest...)
		i += len(rest) - 1
	}
	return n
}

// undeclared is the index of the first lost range that the hub has not been told on the current connection, -1 if there is none.
func (b *buffer) undeclared() int {
	return slices.IndexFunc(b.lost, func(r lostRange) bool { return r.sent != b.conn })
}

// declare takes note that the hub is told of lost[i], and of the ranges behind it as far as no frame between them is held: what
// lies there is settled, and LOST does not change that. It returns the range to tell; each is called with its parts.
func (b *buffer) declare(i int, each func(first, last uint64)) lostRange {
	told := b.lost[i]
	for {
		r := &b.lost[i]
		told.last = r.last
		each(r.first, r.last)
		r.sent = b.conn
		if i == 0 || !b.joinLost(i-1) {
			i++
		}
		if i == len(b.lost) || b.lost[i].sent == b.conn || b.lost[i].reason != told.reason || b.holds(told.last, b.lost[i].first) {
			return told
		}
	}
}

// notLost appends to dst what of first to last is in no lost range.
func (b *buffer) notLost(first, last uint64, dst device.Ranges) device.Ranges {
	for _, r := range b.lost {
		if r.last < first || r.first > last {
			continue
		}
		if r.first > first {
			dst = append(dst, device.Range{First: first, Last: r.first - 1})
		}
		first = r.last + 1
	}
	if first <= last {
		dst = append(dst, device.Range{First: first, Last: last})
	}
	return dst
}
