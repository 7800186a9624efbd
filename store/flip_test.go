package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// readAll returns the values of a device's second channel, which are the numbers of its frames, and the error behind them.
func readAll(t *testing.T, s *store.Store, id string) (seqs []uint64, err error) {
	t.Helper()
	for r, err := range s.Readings(t.Context(), history.Query{Device: id, Channels: []string{"co2"}}) {
		if err != nil {
			return seqs, err
		}
		seqs = append(seqs, r.Value.Bits)
	}
	return seqs, nil
}

// TestFlippedHistory flips bits all over history.db. While the journal has everything, nothing is missing and an alarm may say that
// something was made again; once it has less, what is missing is said: by an alarm, and by an error behind the readings.
func TestFlippedHistory(t *testing.T) {
	h := start(t, store.Options{})
	add(t, h.Store, "a", "b")
	for _, id := range []string{"a", "b"} {
		c := connect(t, h.Store, id, 1)
		c.Send(numbers(1, 3000)...)
		c.Await(numbers(1, 3000)...)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path(h.Dir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(strings.TrimRight(string(whole), "\x00"))
	segments, err := filepath.Glob(path(h.Dir(), "journal", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	incomplete := 0
	for n, at := 0, 0; at < used; n, at = n+1, at+used/48 {
		for _, journal := range []string{"whole", "lost"} {
			what := fmt.Sprintf("bit in byte %d of page %d, journal %s", at%4096, at/4096, journal)
			dir := copyDir(t, h.Dir())
			if err := os.WriteFile(path(dir, "history.db"), flip(whole, at), 0o600); err != nil {
				t.Fatal(err)
			}
			if journal == "lost" {
				if err := os.Remove(path(dir, "journal", filepath.Base(segments[0]))); err != nil {
					t.Fatal(err)
				}
			}
			h := start(t, store.Options{Dir: dir})
			missing := 0
			for _, id := range []string{"a", "b"} {
				got, err := readAll(t, h.Store, id)
				missing += 3000 - len(got)
				_, said := errors.AsType[*history.IncompleteError](err)
				if err != nil && !said || len(got) < 3000 && !said {
					t.Errorf("%s: %d of 3000 readings of %s, %v", what, len(got), id, err)
				}
				for i := range got {
					if i > 0 && got[i] <= got[i-1] {
						t.Fatalf("%s: readings twice", what)
					}
				}
				if b := h.Ledger.Books(id); b.Frames != 3000 || b.Holes != 0 {
					t.Errorf("%s: books %+v", what, b)
				}
			}
			if journal == "whole" && missing > 0 {
				t.Errorf("%s: %d readings are missing that the journal has", what, missing)
			}
			if missing > 0 {
				incomplete++
				if alarms := h.Alarms.All(); len(alarms) == 0 {
					t.Errorf("%s: %d readings are missing without an alarm", what, missing)
				}
			}
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if incomplete < 5 {
		t.Errorf("readings were missing %d times: the test tests nothing", incomplete)
	}
}

// TestDamagedBlockIsAGap: what is missing for good is a gap in charts, too, with its cause.
func TestDamagedBlockIsAGap(t *testing.T) {
	h := start(t, store.Options{Now: func() time.Time { return epoch.Add(-time.Hour) }})
	add(t, h.Store, "a")
	c := connect(t, h.Store, "a", 1)
	c.Send(numbers(1, 3000)...)
	c.Await(numbers(1, 3000)...)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	name := path(h.Dir(), "history.db")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path(h.Dir(), "journal")); err != nil {
		t.Fatal(err)
	}
	for at := 4 * 4096; ; at += 1000 {
		if at >= len(whole) {
			t.Fatal("no flip damages a block")
		}
		if err := os.WriteFile(name, flip(whole, at), 0o600); err != nil {
			t.Fatal(err)
		}
		again := start(t, store.Options{Dir: copyDir(t, h.Dir()), Now: func() time.Time { return epoch.Add(24 * time.Hour) }})
		if again.Status().History.Damaged == 0 {
			continue
		}
		d, err := again.Decimated(t.Context(), history.DecimateQuery{
			Device: "a", Channels: []*device.Channel{&schema.Channels[0]}, From: epoch, To: epoch.Add(time.Hour), Step: 10 * time.Second, Expected: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range again.Silences("a", d) {
			if s.Cause == outages.CauseDropped && strings.Contains(s.Text, "history.db is damaged") {
				return
			}
		}
		t.Fatalf("no gap says that readings are damaged: %+v, damaged %v", again.Silences("a", d), d.Damaged)
	}
}

// TestFlippedHubDB flips bits all over hub.db: the hub starts, nothing that the journal and the copies have is missing, and where
// something is, there is an alarm.
func TestFlippedHubDB(t *testing.T) {
	dir, tokens := wholeHub(t)
	name := path(dir, "hub.db")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	used := len(strings.TrimRight(string(whole), "\x00"))
	places := []int{16 + 8, 16 + 20, 16 + 50, 4096 + 16 + 8, 4096 + 16 + 20, 4096 + 16 + 50} // in the meta pages
	for at := 0; at < used; at += used / 60 {
		places = append(places, at, at-at%4096+8, at-at%4096+20) // and in the heads of pages
	}
	alarmed := 0
	for _, at := range places {
		t.Run(fmt.Sprintf("byte %d of page %d", at%4096, at/4096), func(t *testing.T) {
			dir := copyDir(t, dir)
			if err := os.WriteFile(path(dir, "hub.db"), flip(whole, at), 0o600); err != nil {
				t.Fatal(err)
			}
			h := start(t, store.Options{Dir: dir})
			if len(h.Alarms.All()) > 0 {
				alarmed++
			}
			checkFlipped(t, h.Store, tokens)
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			checkFlipped(t, start(t, store.Options{Dir: dir}).Store, tokens)
		})
	}
	if alarmed < 5 {
		t.Errorf("%d alarms: the test tests nothing", alarmed)
	}
}

// checkFlipped checks that nothing is missing of what wholeHub made that is kept twice, and nothing else without an alarm.
func checkFlipped(t *testing.T, s *store.Store, tokens []string) {
	t.Helper()
	for i, id := range []string{"a", "b"} {
		wantToken(t, s, tokens[i], id, nil)
		wantFrames(t, s, id, numbers(1, 100))
		if b := s.Ledger.Books(id); b.Frames != 100 || b.Rejected != 1 || b.Lost != 9 || b.Holes != 0 {
			t.Errorf("books of %s: %+v", id, b)
		}
	}
	if len(s.Accounts.Users()) != 1 || len(s.Accounts.APIKeys()) != 1 {
		t.Errorf("users %v, API keys %v", s.Accounts.Users(), s.Accounts.APIKeys())
	}
	for what, err := range map[string]error{
		"commands": second(s.Commands.List(commands.Filter{})), "the audit trail": second(s.Audit.Entries(audit.Filter{})),
		"dead letters": second(s.Ledger.DeadLetters(0, 10)),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestFlippedJournal flips bits all over the journal of a killed hub: what was acknowledged is in the readings, or in a gap with an
// alarm.
func TestFlippedJournal(t *testing.T) {
	dir, segment, _ := killed(t)
	whole, err := os.ReadFile(path(dir, "journal", segment))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += len(whole) / 40 {
		dir := copyDir(t, dir)
		if err := os.WriteFile(path(dir, "journal", segment), flip(whole, at), 0o600); err != nil {
			t.Fatal(err)
		}
		h := start(t, store.Options{Dir: dir})
		got, err := readAll(t, h.Store, "a")
		_, said := errors.AsType[*history.IncompleteError](err)
		status := h.Status()
		if len(got) < 70 && (!said || len(status.Gaps) == 0 || len(status.Alarms) == 0) {
			t.Errorf("byte %d: %d of 70 frames, %v, gaps %+v, alarms %v", at, len(got), err, status.Gaps, status.Alarms)
		}
		if len(got) < 20 {
			t.Errorf("byte %d: only %d frames are left", at, len(got))
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
