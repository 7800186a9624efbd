package store

import (
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

func TestDefaultLimits(t *testing.T) {
	const mib, gib = int64(1 << 20), int64(1 << 30)
	for _, c := range []struct {
		space                    ledger.Space
		journalMax, historyMax   int64 // as configured
		wantJournal, wantHistory int64
	}{
		{ledger.Space{}, 0, 0, gib, gib}, // a file system that does not tell
		{ledger.Space{Total: 100 * gib, Free: 50 * gib}, 0, 0, gib, gib},
		{ledger.Space{Total: 4 * gib, Free: 2 * gib}, 0, 0, 2 * gib / 5, 2 * gib / 5},
		{ledger.Space{Total: 64 * mib, Free: 50 * mib}, 0, 0, 10 * mib, 10 * mib},
		{ledger.Space{Total: 8 * mib, Free: 8 * mib}, 0, 0, 4 * mib, 8 * mib / 5},
		{ledger.Space{Total: 64 * mib, Free: 0}, 0, 0, 4 * mib, mib},
		{ledger.Space{Total: 64 * mib, Free: 50 * mib}, gib, 0, gib, 10 * mib},
		{ledger.Space{Total: 64 * mib, Free: 50 * mib}, 0, 12, 10 * mib, 12},
	} {
		o := Options{Dir: t.TempDir(), JournalMaxBytes: c.journalMax, HistoryMaxBytes: c.historyMax}
		if o.defaultLimits(c.space); o.JournalMaxBytes != c.wantJournal || o.HistoryMaxBytes != c.wantHistory {
			t.Errorf("%+v: journal %d, history %d", c, o.JournalMaxBytes, o.HistoryMaxBytes)
		}
	}
}

// A restart while the disk is full must not lower the limits below what is kept: it would drop what waits for export.
func TestDefaultLimitsKeepWhatIsThere(t *testing.T) {
	s := open(t, Options{})
	stop := storetest.Run(t, s)
	newWriter(t, s, 1).Send(6000)
	settle(t, s)
	kept := s.journal.Bytes()
	stop()
	o := Options{Dir: s.Dir()}
	if o.defaultLimits(ledger.Space{Total: 64 << 20, Free: 0}); kept < leastJournal || o.JournalMaxBytes < kept {
		t.Errorf("the journal has %d bytes, its limit is %d", kept, o.JournalMaxBytes)
	}
}

func TestRoomAlarms(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 40 << 20, HistoryMaxBytes: 40 << 20})
	defer s.Close()
	long := time.Now().Add(-time.Minute)
	look := func(free int64) (disk, limits bool) {
		tight := long
		s.checkRoom(ledger.Space{Total: 128 << 20, Free: free}, &tight)
		for _, a := range s.Alarms.All() {
			disk = disk || strings.Contains(a.Text, "nearly full")
			limits = limits || strings.Contains(a.Text, "no room for the limits")
		}
		return disk, limits
	}
	for i, step := range []struct {
		free         int64
		disk, limits bool
	}{
		{120 << 20, false, false}, {80 << 20, false, true}, {93 << 20, false, true}, {110 << 20, false, false},
		{11 << 20, true, true}, {13 << 20, true, true}, {16 << 20, false, true},
	} {
		if disk, limits := look(step.free); disk != step.disk || limits != step.limits {
			t.Errorf("step %d, %d bytes Free: nearly full %v, limits %v", i, step.free, disk, limits)
		}
	}
}
