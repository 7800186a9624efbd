package ledger

import (
	"math"

	"golang.org/x/sys/unix"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// Space is the room of a file system in bytes, for a process without privileges. The zero value is one that does not tell.
type Space struct{ Total, Free int64 }

// SpaceOf asks the file system that dir is on.
func SpaceOf(dir string) Space {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}
	}
	block := uint64(st.Bsize)
	return Space{Total: clampBytes(uint64(st.Blocks), block), Free: clampBytes(uint64(st.Bavail), block)}
}

func clampBytes(blocks, size uint64) int64 {
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size)
}

// The journal takes nothing of the reserve. It is there so that hub.db and the history can be written when the disk is nearly
// full, and with that the journal be trimmed.
const (
	leastReserve = 2 << 20
	mostReserve  = 64 << 20
)

func (s Space) known() bool { return s.Total > 0 }

// reserve is what the journal leaves free.
func (s Space) reserve() int64 { return min(max(s.Total/32, leastReserve), mostReserve) }

// Tight tells that the journal has to be trimmed of all that nobody needs, at once.
func (s Space) Tight() bool { return s.known() && s.Free < 3*s.reserve() }

// Exhausted tells that others have filled the disk: the hub itself leaves the reserve alone. What is not written then is safe in
// the journal, and can be read from memory; to write it would take the place of older readings.
func (s Space) Exhausted() bool { return s.known() && s.Free < s.reserve()/2 }

// Ample tells that there is clearly more room than Tight says.
func (s Space) Ample() bool { return !s.known() || s.Free >= 4*s.reserve() }

// Growth is how much the files may grow before the disk is tight, 0 if it is.
func (s Space) Growth() int64 {
	if !s.known() {
		return math.MaxInt64
	}
	return max(s.Free-3*s.reserve(), 0)
}

// segmentBytesFor is how large a segment is before the next begins. It is all that can't be trimmed, so it is small where the
// journal or the disk is.
func segmentBytesFor(journalMax int64, s Space) int64 {
	if s.known() {
		journalMax = min(journalMax, s.Total/8)
	}
	return min(max(journalMax/16, 256<<10), journal.DefaultSegmentBytes)
}
