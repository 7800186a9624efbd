package store_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// A data directory of a hub that still took readings of any time. "always" has sent one of just before the year 0, of just
// after 9999, of the two ends of 64 bits, and of epoch; "before" only the first and the third. Both report what is desired.
const oldTimes = "testdata/times-out-of-range.tar.gz"

func TestOldReadingsOutOfRangeStayReadable(t *testing.T) {
	for name, forget := range map[string][]string{
		"as it was left":           nil,
		"history from the journal": {"history.db"},
		"books from the journal":   {"history.db", "hub.db"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			unpack(t, oldTimes, dir)
			for _, file := range forget {
				if err := os.Remove(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
			h := start(t, store.Options{Dir: dir, Now: func() time.Time { return epoch.Add(time.Hour) }})
			lowest, highest := device.Moment(device.MinTime), device.Moment(device.MaxTime)
			wantTimes(t, h.Store, history.Query{Device: "always"}, lowest, lowest, epoch, highest, highest)
			wantTimes(t, h.Store, history.Query{Device: "before"}, lowest, lowest)
			// What is told as a reading's time finds it again.
			wantTimes(t, h.Store, history.Query{Device: "before", From: lowest, To: lowest.Add(time.Microsecond)}, lowest, lowest)
			wantTimes(t, h.Store, history.Query{Device: "always", From: highest}, highest, highest)
			if got := h.Ledger.Books("always").LastData; !got.Equal(epoch) {
				t.Errorf("newest of always: %v", got)
			}
			if got := h.Ledger.Books("before").LastData; !got.Equal(lowest) {
				t.Errorf("newest of before: %v", got)
			}
			for _, id := range []string{"always", "before"} {
				if _, err := json.Marshal(h.Ledger.Books(id)); err != nil {
					t.Error(err)
				}
				if _, err := json.Marshal(h.Settings.List(id)); err != nil {
					t.Error(err)
				}
				sums, err := h.Decimated(t.Context(), history.DecimateQuery{
					Device: id, Channels: []*device.Channel{&schema.Channels[0]}, From: epoch.Add(-time.Hour), To: epoch.Add(time.Hour), Step: time.Minute,
				})
				if err != nil || (len(sums.Series[0].Buckets) == 1) != (id == "always") {
					t.Errorf("%s: %+v, %v", id, sums, err)
				}
			}
		})
	}
}

// wantTimes compares the times of a device's readings; each sample has two.
func wantTimes(t *testing.T, s *store.Store, q history.Query, want ...time.Time) {
	t.Helper()
	var got []time.Time
	q.Channels = []string{"temperature"}
	for r, err := range s.Readings(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(r.Time); err != nil {
			t.Error(err)
		}
		got = append(got, r.Time)
	}
	if len(got) != len(want) {
		t.Fatalf("%+v: %v", q, got)
	}
	for i := range got {
		if !got[i].Equal(want[i]) {
			t.Errorf("%+v: reading %d is of %v, expected %v", q, i, got[i], want[i])
		}
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
