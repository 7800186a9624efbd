package outages

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// reopen opens the log in a directory, after closing the one that was open, if any.
func reopen(t *testing.T, dir string, old *Log, now func() time.Time) *Log {
	t.Helper()
	return openBy(t, dir, old, wallclock.Steady(now))
}

// openBy is reopen with a clock that may be set.
func openBy(t *testing.T, dir string, old *Log, clock *wallclock.Clock) *Log {
	t.Helper()
	if old != nil {
		if err := old.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db, _, err := hubdb.Open(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log := slog.New(slog.DiscardHandler)
	l, err := Open(db, clock, alarms.New(clock, log), log)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func atNoon() time.Time { return noon }

// sorted is the gaps as text, in order.
func sorted(gaps []Gap) []string {
	list := make([]string, len(gaps))
	for i, g := range gaps {
		list[i] = fmt.Sprintf("%04d-%04d %s", g.First, g.Last, g.Tail)
	}
	slices.Sort(list)
	return list
}

// TestGapsAreBounded: the oldest become one, which covers what they covered, also after a start.
func TestGapsAreBounded(t *testing.T) {
	dir := t.TempDir()
	l := reopen(t, dir, nil, atNoon)
	at := noon
	for n := range uint64(maxGaps + 20) {
		l.EnterGap(Gap{First: 10 * n, Last: 10*n + 3, Cause: fmt.Sprint("cause ", n)}.Between(at, at.Add(time.Minute)))
		at = at.Add(time.Hour)
	}
	for range 2 {
		gaps := slices.SortedFunc(slices.Values(l.Gaps()), func(a, b Gap) int { return int(a.First) - int(b.First) })
		first := gaps[0]
		if len(gaps) != maxGaps || first.First != 0 || first.Last != 203 || first.Cause != severalGaps+"cause 0" || !first.To.Equal(first.From.Add(20*time.Hour+time.Minute)) {
			t.Errorf("%d gaps, the first %+v", len(gaps), first)
		}
		l = reopen(t, dir, l, atNoon)
	}
}

// TestGapEnteredMeanwhile: a gap that covers another one is entered just before that.
func TestGapEnteredMeanwhile(t *testing.T) {
	var l *Log
	first := true
	l = reopen(t, t.TempDir(), nil, func() time.Time {
		if l != nil && first {
			first = false
			l.EnterGap(Gap{First: 11, Last: 30, Cause: "damaged"})
		}
		return noon
	})
	l.EnterGap(Gap{First: 11, Last: 20, Cause: "dropped", Tail: HistoryTail})
	if got, want := sorted(l.Gaps()), []string{"0011-0030 "}; !slices.Equal(got, want) {
		t.Errorf("gaps %q, want %q", got, want)
	}
}

// TestGapsFromManySides: whoever meets gaps at the same time, hub.db has in the end what memory has.
func TestGapsFromManySides(t *testing.T) {
	dir := t.TempDir()
	l := reopen(t, dir, nil, atNoon)
	for round := range uint64(20) {
		var all sync.WaitGroup
		for n := range uint64(8) { // each of them makes the same gap longer
			all.Go(func() {
				l.EnterGap(Gap{First: 1000*round + 1, Last: 1000*round + 10*n + 10, Cause: "dropped", Tail: HistoryTail})
			})
		}
		all.Wait()
	}
	want := sorted(l.Gaps())
	if l = reopen(t, dir, l, atNoon); !slices.Equal(sorted(l.Gaps()), want) {
		t.Errorf("hub.db has %q, memory had %q", sorted(l.Gaps()), want)
	}
}
