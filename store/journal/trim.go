package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// TrimBefore removes every segment whose entries all lie before pos, except
// the newest segment, and returns how many bytes that gave back. Readers that
// still wanted those entries get a TrimmedError.
func (j *Journal) TrimBefore(pos uint64) (freed int64, err error) {
	j.trimMu.Lock()
	defer j.trimMu.Unlock()
	for {
		s := j.takeOldest(pos)
		if s == nil {
			return freed, nil
		}
		if err := os.Remove(j.path(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.putBack(s)
			return freed, fmt.Errorf("journal: trim: %w", err)
		}
		j.forgetDamage(s)
		// One by one: a crash must not leave a hole between older and newer
		// segments, which would look like a loss.
		if err := j.dirFile.Sync(); err != nil {
			return freed, fmt.Errorf("journal: trim: %w", err)
		}
		freed += s.size
	}
}

// takeOldest takes the oldest segment off the list if it may go, and returns
// it, or nil. From then on no reader finds it. The newest segment stays even
// when it is empty: its name is all that keeps positions from starting over.
func (j *Journal) takeOldest(pos uint64) *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) < 2 || j.segments[0].next > pos {
		return nil
	}
	s := j.segments[0]
	j.segments = slices.Delete(j.segments, 0, 1)
	return s
}

func (j *Journal) putBack(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = slices.Insert(j.segments, 0, s)
}
