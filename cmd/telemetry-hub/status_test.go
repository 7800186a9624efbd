package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// What is wrong is said in full, within 80 columns, and can't control the terminal.
func TestStatusOfAHubInTrouble(t *testing.T) {
	since := time.Date(2026, 2, 4, 17, 51, 0, 0, time.UTC)
	ms := live.Millis(since.UnixMilli())
	s := &api.Status{
		Running: true, Connected: 3,
		Storage: api.StorageStatus{State: "failing", Since: ms, Error: "write 00000000000000000001.seg: no space left on device"},
		Devices: 12, Frames: 1234567, Readings: 9876543210, DeadLetters: 2,
		Journal: api.JournalStatus{Bytes: 5 << 20, Segments: 1, First: 1, Next: 101, Oldest: api.Millis(time.Now().Add(-time.Hour))},
		Gaps:    []api.JournalGap{{First: 7, Last: 9, Cause: "damaged", SetAside: "set-aside/1.seg", Noticed: ms}},
		Tails:   []store.TailStatus{{Name: "history", Cursor: 90, Unread: 4, LagEntries: 11, LagBytes: 900, Error: "disk full"}, {Name: "books", Cursor: 90, LagEntries: 11, LagBytes: 900}},
		Alarms: []api.Alarm{
			{Since: ms, Text: "the local history can't be written, the journal keeps its frames: \x1b[31mno space left on device"},
			{Since: ms, Text: "second"},
		},
	}
	var out strings.Builder
	if err := render.Record(&out, render.FormatTable, s, func(t *render.Table) { fillStatus(t, s) }); err != nil {
		t.Fatal(err)
	}
	want := `hub           running, 3 of 12 devices connected
storage       failing since 2026-02-04T17:51:00Z
              write 00000000000000000001.seg: no space left on device
frames        1,234,567 stored, with 9,876,543,210 readings
              0 duplicates dropped, 0 rejected
              0 lost by devices, 0 missing
dead letters  2
journal       5.0 MiB in 1 segment
              positions 1 to 100, the oldest 1h ago
              gap from 7 to 9, noticed 2026-02-04T17:51:00Z: damaged
              set-aside/1.seg
history       4 entries to go
              11 entries (900 B) are still in the journal only
              disk full
books         has read everything
              11 entries (900 B) are still in the journal only
alarms        since 2026-02-04T17:51:00Z
              the local history can't be written, the journal keeps its frames:
              [31mno space left on device
              since 2026-02-04T17:51:00Z
              second
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}
