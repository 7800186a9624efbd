package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const segmentSuffix = ".seg"

// segment is one file of the journal. Its fields are guarded by Journal.mu;
// the committer, who alone changes those of the active one, may read these
// without.
type segment struct {
	first uint64 // position of its first entry, and its name
	next  uint64 // position after its last entry
	end   int64  // bytes that readers may read
	size  int64  // bytes on disk, as far as known

	blocks         bool  // it has any
	oldest, newest int64 // commit times of the first and the last block, µs since 1970

	refused map[int64]int // how often the disk refused to read the block at an offset
}

// Segment describes one segment file.
type Segment struct {
	First  uint64 // position of its first entry
	Next   uint64 // position after its last entry; First if it is empty
	Bytes  int64
	Oldest time.Time // commit time of its first block; zero if it is empty
	Newest time.Time // commit time of its last block; zero if it is empty
}

func (s *segment) describe() Segment {
	d := Segment{First: s.first, Next: s.next, Bytes: s.size}
	if s.blocks {
		d.Oldest, d.Newest = time.UnixMicro(s.oldest), time.UnixMicro(s.newest)
	}
	return d
}

// add notes a block that was written at the end.
func (s *segment) add(h *header) {
	if !s.blocks {
		s.oldest = h.time
	}
	s.blocks, s.newest = true, h.time
	s.next = h.next()
	s.end += h.size()
	s.size = s.end
}

// segmentName returns the name of the segment whose first entry has the given
// position.
func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// parseSegmentName is the reverse of segmentName; false for any other name.
func parseSegmentName(name string) (first uint64, ok bool) {
	first, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 10, 64)
	return first, err == nil && 1 <= first && first <= maxPosition && segmentName(first) == name
}

func (j *Journal) path(s *segment) string { return filepath.Join(j.dir, segmentName(s.first)) }

// create makes the file of the next segment, durably, and makes it the active
// one.
func (j *Journal) create() error {
	s := &segment{first: j.next, next: j.next}
	// O_TRUNC: a creation that failed may have left the file behind, with a
	// block in it that does not count. Removing it instead could leave no file
	// at all after a crash, and with it would go the knowledge of j.next.
	file, err := os.OpenFile(j.path(s), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := j.dirFile.Sync(); err != nil {
		file.Close()
		return err
	}
	j.file, j.active = file, s
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	return nil
}

// retire ends the active segment: nothing is written to it any more. The seal
// lets the next Open know where the segment ends without reading it. It is
// not waited for: where it is missing, Open reads the segment.
func (j *Journal) retire() {
	s := j.active
	seal := header{first: s.next, time: s.newest}
	j.buf = appendBlock(j.buf[:0], &seal, nil)
	if _, err := j.file.WriteAt(j.buf, s.end); err == nil {
		j.mu.Lock()
		s.size = s.end + seal.size()
		j.mu.Unlock()
	}
	j.release()
}

// release lets go of the active segment's file. The next commit makes a new
// segment.
func (j *Journal) release() {
	j.file.Close() // what counts in it has been synced
	j.file, j.active = nil, nil
}

// abandon undoes a commit that failed, so that no byte of it counts: neither
// for readers now nor for the next Open. The commit got as far as its
// fdatasync, or only to its write.
func (j *Journal) abandon(syncing bool) {
	s := j.active
	cut := j.file.Truncate(s.end) == nil
	switch {
	case cut && (!syncing || s.end == 0):
		// Nothing of the failed block is left, and nothing that was committed
		// shares a page with it that the kernel may have failed to write.
	case s.end > 0:
		// Should the failed block come back all the same, it lies behind the
		// position at which the next segment begins.
		j.retire()
	default:
		j.release()
		j.mu.Lock()
		j.segments = j.segments[:len(j.segments)-1]
		j.mu.Unlock()
	}
}
