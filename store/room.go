package store

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

const (
	watchRoomEvery = time.Second
	tightPatience  = 5 * time.Second
)

// watchRoom looks after the room on the disk until ctx ends. It writes nothing itself, so that a disk that takes its time can't keep
// it from saying so.
func (s *Store) watchRoom(ctx context.Context) {
	ticker := time.NewTicker(watchRoomEvery)
	defer ticker.Stop()
	var tight time.Time
	for {
		s.checkRoom(s.space(s.opts.Dir), &tight)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checkRoom keeps the history within the room there is, and raises an alarm while the disk is nearly full or has no room for
// what the limits allow. tight is since when it has been nearly full, which the trimming of the journal may cure.
func (s *Store) checkRoom(space ledger.Space, tight *time.Time) {
	h := s.history.Current()
	if !space.Tight() {
		*tight = time.Time{}
	} else if tight.IsZero() {
		*tight = time.Now()
	}
	lasting := space.Tight() && time.Since(*tight) >= tightPatience
	if !space.Tight() || lasting && !space.Exhausted() {
		h.SetRoom(space.Growth() / 2) // the other half is the journal's
	}
	if space.Tight() {
		s.Ledger.TrimSoon()
	}
	if lasting {
		s.Alarms.Raise("disk", "the disk is nearly full: the hub keeps less than its limits allow, and soon stops acknowledging; make room on the file system of "+s.opts.Dir)
	} else if space.Ample() {
		s.Alarms.Clear("disk")
	}
	if s.opts.JournalMaxBytes == math.MaxInt64 {
		return // a command has opened the files; the hub's limits are not known
	}
	grow := max(s.opts.JournalMaxBytes-s.journal.Bytes(), 0) + max(s.opts.HistoryMaxBytes-h.Stats().FileBytes, 0)
	switch room := space.Growth(); {
	case grow > room:
		s.Alarms.Raise("limits", fmt.Sprintf("the disk has no room for the limits: journal and history may grow by %d MiB, and there is room for %d MiB; lower [journal] max_bytes and [history] max_bytes, or make room",
			grow>>20, room>>20))
	case grow <= room-room/10:
		s.Alarms.Clear("limits")
	}
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
func (o *Options) defaultLimits(space ledger.Space) {
	journalBytes := bytesIn(filepath.Join(o.Dir, "journal"))
	historyBytes := bytesIn(filepath.Join(o.Dir, "history.db"))
	share := int64(defaultMaxBytes)
	if space.Total > 0 {
		share = min(share, (space.Free+journalBytes+historyBytes)/roomShare)
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
