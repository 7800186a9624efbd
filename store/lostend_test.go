package store_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// killed returns the directory of a store as kill -9 leaves it: 20 acknowledged frames behind its last checkpoint, the file of its
// only segment, and how long that was before them.
func killed(t *testing.T) (dir, segment string, before int64) {
	t.Helper()
	h := start(t, store.Options{})
	add(t, h.Store, "a")
	c := connect(t, h.Store, "a", 1)
	c.Send(numbers(1, 50)...)
	c.Await(numbers(1, 50)...)
	if err := h.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(path(h.Dir(), "journal", "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	info, err := os.Stat(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range numbers(51, 70) { // a block each
		c.Send(seq)
		c.Await(seq)
	}
	next := h.Status().Journal.Next
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mark, _ := os.ReadFile(path(h.Dir(), "journal", "committed"))
		if len(mark) >= 8 && binary.LittleEndian.Uint64(mark) == next {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing says that everything before %d was committed: %x", next, mark)
		}
	}
	return copyDir(t, h.Dir()), filepath.Base(names[0]), info.Size()
}

// TestLostEndOfJournal cuts the journal's end off, at block boundaries and within blocks, and flips bits in its last blocks: what
// had been acknowledged is missing, and the books and an alarm say so.
func TestLostEndOfJournal(t *testing.T) {
	dir, segment, before := killed(t)
	whole, err := os.ReadFile(path(dir, "journal", segment))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, content []byte) {
		t.Helper()
		dir := copyDir(t, dir)
		if err := os.WriteFile(path(dir, "journal", segment), content, 0o600); err != nil {
			t.Fatal(err)
		}
		h := start(t, store.Options{Dir: dir})
		status := h.Status()
		var missing uint64
		for _, g := range status.Gaps {
			missing += g.Last - g.First + 1
			if g.From.IsZero() || g.To.IsZero() {
				t.Errorf("%s: no times in %+v", what, g)
			}
		}
		frames := h.Ledger.Books("a").Frames
		if frames == 70 || frames+missing != 70 {
			t.Errorf("%s: %d frames are stored, the gaps %+v have %d", what, frames, status.Gaps, missing)
		}
		if !slices.ContainsFunc(status.Alarms, func(a alarms.Alarm) bool { return strings.Contains(a.Text, "missing") }) {
			t.Errorf("%s: alarms %v", what, status.Alarms)
		}
		// The positions of what is gone are not given out again, and a device that still has the frames can bring them.
		c := connect(t, h.Store, "a", 1)
		c.Send(numbers(51, 71)...)
		c.Await(numbers(51, 71)...)
		// That there is nothing else missing by the gap, nobody knows.
		if got, err := readAll(t, h.Store, "a"); len(got) != 71 || err == nil {
			t.Errorf("%s: %d readings, %v", what, len(got), err)
		}
		if got := h.Ledger.Books("a"); got.Frames != 71 || got.Holes != 0 {
			t.Errorf("%s: books %+v", what, got)
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, store.Options{Dir: dir})
		if got := again.Status().Gaps; len(got) != len(status.Gaps) {
			t.Errorf("%s: gaps after the next start: %+v", what, got)
		}
	}
	step := (int64(len(whole)) - before) / 20
	for _, cut := range []int64{before, before + step, before + 3*step, before + step/2, int64(len(whole)) - step, int64(len(whole)) - 1} {
		check("cut", whole[:cut])
	}
	for _, at := range []int64{before + 10, before + 10*step + 50, int64(len(whole)) - 2, int64(len(whole)) - step + 5} {
		check("flipped", flip(whole, int(at)))
	}
}

// TestLostJournalOfKilledHub: with the whole journal gone, its mark is gone too; what the checkpoint knows is all that is left.
func TestLostJournalOfKilledHub(t *testing.T) {
	dir, segment, _ := killed(t)
	if err := os.Remove(path(dir, "journal", segment)); err != nil {
		t.Fatal(err)
	}
	s := start(t, store.Options{Dir: dir}).Store
	status := s.Status()
	if len(status.Gaps) == 0 || len(status.Alarms) == 0 || s.Ledger.Books("a").Frames != 50 {
		t.Errorf("gaps %+v, alarms %v, books %+v", status.Gaps, status.Alarms, s.Ledger.Books("a"))
	}
	if got := s.Ledger.Ingest("a", 1, func() {}).Received(10); len(got) != 1 || got[0] != (device.Range{First: 1, Last: 50}) {
		t.Errorf("received %v", got)
	}
}

// TestDamagedDefinition: frames whose schema stood in a block that is damaged can't be read, and the books say so.
func TestDamagedDefinition(t *testing.T) {
	h := start(t, store.Options{})
	add(t, h.Store, "a")
	c := connect(t, h.Store, "a", 1)
	for _, seq := range numbers(1, 5) {
		c.Send(seq)
		c.Await(seq)
	}
	dir := copyDir(t, h.Dir()) // no checkpoint has been made
	names, err := filepath.Glob(path(dir, "journal", "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[0], flip(whole, 60), 0o600); err != nil {
		t.Fatal(err)
	}
	status := start(t, store.Options{Dir: dir}).Status()
	if !slices.ContainsFunc(status.Gaps, func(g outages.Gap) bool { return strings.HasPrefix(g.Cause, "4 entries") }) {
		t.Errorf("gaps %+v", status.Gaps)
	}
}
