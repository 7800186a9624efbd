package store

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

func TestDefaultLimits(t *testing.T) {
	const mib, gib = int64(1 << 20), int64(1 << 30)
	for _, c := range []struct {
		space                    diskSpace
		journalMax, historyMax   int64 // as configured
		wantJournal, wantHistory int64
	}{
		{diskSpace{}, 0, 0, gib, gib}, // a file system that does not tell
		{diskSpace{100 * gib, 50 * gib}, 0, 0, gib, gib},
		{diskSpace{4 * gib, 2 * gib}, 0, 0, 2 * gib / 5, 2 * gib / 5},
		{diskSpace{64 * mib, 50 * mib}, 0, 0, 10 * mib, 10 * mib},
		{diskSpace{8 * mib, 8 * mib}, 0, 0, 4 * mib, 8 * mib / 5},
		{diskSpace{64 * mib, 0}, 0, 0, 4 * mib, mib},
		{diskSpace{64 * mib, 50 * mib}, gib, 0, gib, 10 * mib},
		{diskSpace{64 * mib, 50 * mib}, 0, 12, 10 * mib, 12},
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
	stop := run(t, s)
	newWriter(t, s, 1).send(6000)
	settle(t, s)
	kept := s.journal.Bytes()
	stop()
	o := Options{Dir: s.Dir()}
	if o.defaultLimits(diskSpace{64 << 20, 0}); kept < leastJournal || o.JournalMaxBytes < kept {
		t.Errorf("the journal has %d bytes, its limit is %d", kept, o.JournalMaxBytes)
	}
}

func TestSegmentsFitTheDisk(t *testing.T) {
	for _, c := range []struct {
		limit int64
		space diskSpace
		want  int64
	}{
		{1 << 30, diskSpace{}, 16 << 20},
		{1 << 30, diskSpace{total: 100 << 30}, 16 << 20},
		{64 << 20, diskSpace{total: 100 << 30}, 4 << 20},
		{1 << 30, diskSpace{total: 64 << 20}, 512 << 10},
		{4 << 20, diskSpace{total: 64 << 20}, 256 << 10},
		{math.MaxInt64, diskSpace{total: 1 << 40}, 16 << 20},
	} {
		if got := segmentBytesFor(c.limit, c.space); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Around the edge of the reserve the committer does not change its mind with each byte.
func TestReserve(t *testing.T) {
	s := open(t, Options{})
	defer s.Close()
	d := diskSpace{total: 64 << 20}
	s.space = func(string) diskSpace { return d }
	c := acknowledged(t, s)
	for i, step := range []struct {
		free int64
		room bool
	}{
		{20 << 20, true}, {5 << 20, true}, {2<<20 + 1000, true}, {2<<20 + 999, false}, {3 << 20, false}, {4<<20 + 999, false},
		{4<<20 + 1000, true}, {3 << 20, true}, {0, false},
	} {
		d.free = step.free
		if err := c.roomFor(1000); (err == nil) != step.room {
			t.Errorf("step %d, %d bytes free: %v", i, step.free, err)
		}
	}
	d = diskSpace{}
	if err := c.roomFor(1000); err != nil {
		t.Errorf("of a file system that does not tell: %v", err)
	}
}

func TestRoomAlarms(t *testing.T) {
	s := open(t, Options{JournalMaxBytes: 40 << 20, HistoryMaxBytes: 40 << 20})
	defer s.Close()
	long := time.Now().Add(-time.Minute)
	look := func(free int64) (disk, limits bool) {
		tight := long
		s.watchRoom(diskSpace{total: 128 << 20, free: free}, &tight)
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
			t.Errorf("step %d, %d bytes free: nearly full %v, limits %v", i, step.free, disk, limits)
		}
	}
}

func TestPace(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	var p pace
	p.begin(at(0))
	if !p.slowSince(at(900 * time.Millisecond)).IsZero() {
		t.Error("slow before a second was over")
	}
	slow := at(1500 * time.Millisecond)
	if since := p.slowSince(slow); !since.Equal(slow) { // while the disk still writes
		t.Errorf("slow since %v", since)
	}
	p.end(at(20 * time.Second))
	p.begin(at(21 * time.Second))
	p.end(at(21*time.Second + time.Millisecond))
	if since := p.slowSince(at(70 * time.Second)); !since.Equal(slow) {
		t.Errorf("shortly after a slow write: since %v", since)
	}
	if since := p.slowSince(at(81 * time.Second)); !since.IsZero() {
		t.Errorf("a minute after the last slow write: since %v", since)
	}
}

// While the journal can't be written there are no checkpoints. What is exported meanwhile has to be known to hub.db all the same,
// or the journal would keep it, and the disk stay full.
func TestExportIsNotedWithoutTheJournal(t *testing.T) {
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"})
	c := acknowledged(t, s)
	newWriter(t, s, 1).send(10)
	if err := c.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := s.journal.Next()
	running, stop := context.WithCancel(t.Context())
	defer stop()
	go s.Export.Run(running)
	eventually(t, "the export", func() bool { return s.Export.Reached() == end }) // of a device that is not registered: without the server
	s.saveExport()
	if floor := s.Export.Floor(); floor >= end {
		t.Errorf("the export was noted up to %d beside a journal that can be written", floor)
	}
	s.failing = failure{err: errors.New("no room")}
	s.saveExport()
	if floor := s.Export.Floor(); floor != end {
		t.Errorf("the journal keeps what follows %d, want %d", floor, end)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = exporting(t, Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"})
	defer s.Close()
	if reached := s.Export.Reached(); reached != end {
		t.Errorf("after a restart the export goes on at %d, want %d", reached, end)
	}
}
