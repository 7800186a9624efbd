package store

import (
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// diskSpace is the room of a file system in bytes, for a process without privileges. The zero value is one that does not tell.
type diskSpace struct{ total, free int64 }

// spaceOf asks the file system that dir is on.
func spaceOf(dir string) diskSpace {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return diskSpace{}
	}
	block := uint64(st.Bsize)
	return diskSpace{total: clampBytes(uint64(st.Blocks), block), free: clampBytes(uint64(st.Bavail), block)}
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

func (d diskSpace) known() bool { return d.total > 0 }

// reserve is what the journal leaves free.
func (d diskSpace) reserve() int64 { return min(max(d.total/32, leastReserve), mostReserve) }

// tight tells that the journal has to be trimmed of all that nobody needs, at once.
func (d diskSpace) tight() bool { return d.known() && d.free < 3*d.reserve() }

// brimful tells that others have filled the disk: the hub itself leaves the reserve alone. What is not written then is safe in
// the journal, and can be read from memory; to write it would take the place of older readings.
func (d diskSpace) brimful() bool { return d.known() && d.free < d.reserve()/2 }

// roomy tells that there is clearly more room than tight says.
func (d diskSpace) roomy() bool { return !d.known() || d.free >= 4*d.reserve() }

// growth is how much the files may grow before the disk is tight, 0 if it is.
func (d diskSpace) growth() int64 {
	if !d.known() {
		return math.MaxInt64
	}
	return max(d.free-3*d.reserve(), 0)
}

// noRoomError says that the disk has less than the reserve.
type noRoomError struct{ reserve int64 }

func (e *noRoomError) Error() string {
	return fmt.Sprintf("the disk has less than the %d MiB free that the hub keeps for its books: make room", e.reserve>>20)
}

// roomFor returns an error if the journal may not grow by bytes. Once it has, it wants twice the reserve to be free, so that it
// does not change its mind with every file that comes and goes.
func (c *committer) roomFor(bytes int) error {
	d := c.space(c.opts.Dir)
	if !d.known() {
		return nil
	}
	if d.tight() {
		signal(c.trimNow)
	}
	need := d.reserve()
	if c.noRoom {
		need *= 2
	}
	if c.noRoom = d.free-int64(bytes) < need; c.noRoom {
		return &noRoomError{d.reserve()}
	}
	return nil
}

// The limits that apply where none are configured: a fifth each of the room there is, so that both fit with what else grows,
// and at most this much.
const (
	defaultMaxBytes = 1 << 30
	roomShare       = 5
	leastJournal    = 4 << 20
	leastHistory    = 1 << 20
)

// defaultLimits sets the limits that are not configured. What the hub has stored already counts as room, and a limit is never
// below it: nothing is to go because the hub was restarted while others' files were on the disk.
func (o *Options) defaultLimits(space diskSpace) {
	journalBytes := bytesIn(filepath.Join(o.Dir, "journal"))
	historyBytes := bytesIn(filepath.Join(o.Dir, "history.db"))
	share := int64(defaultMaxBytes)
	if space.known() {
		share = min(share, (space.free+journalBytes+historyBytes)/roomShare)
	}
	if o.JournalMaxBytes == 0 {
		o.JournalMaxBytes = min(max(share, journalBytes, leastJournal), defaultMaxBytes)
	}
	if o.HistoryMaxBytes == 0 {
		o.HistoryMaxBytes = min(max(share, historyBytes, leastHistory), defaultMaxBytes)
	}
}

// bytesIn is the size of a file, or of the files in a folder.
func bytesIn(path string) (total int64) {
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // what can't be looked at does not count
	})
	return total
}

// segmentBytesFor is how large a segment is before the next begins. It is all that can't be trimmed, so it is small where the
// journal or the disk is.
func segmentBytesFor(journalMax int64, space diskSpace) int64 {
	if space.known() {
		journalMax = min(journalMax, space.total/8)
	}
	return min(max(journalMax/16, 256<<10), journal.DefaultSegmentBytes)
}
