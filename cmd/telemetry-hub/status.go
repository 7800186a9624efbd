package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func newStatus() *cobra.Command {
	return printing(&cobra.Command{
		Use:   "status [--format F]",
		Short: "Show what the hub does and holds",
		Long: `status shows the state of the hub: devices and connections, the counters (frames
stored, duplicates, rejected, lost, missing), the journal and how far each of
its readers is, and what is wrong, if something is. It works without a running
hub, too.`,
		Example: `  telemetry-hub status
  telemetry-hub status --format json | jq .alarms`,
		Args: exactArgs(),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, _ []string) (api.Status, error) { return c.Status(ctx) }, inFields(fillStatus))
}

func fillStatus(t *render.Table, s *api.Status) {
	now := time.Now()
	if s.Running {
		t.Field("hub", "running, %d of %s connected", s.Connected, render.Plural(s.Devices, "device"))
	} else {
		t.Field("hub", "not running, %s registered", render.Plural(s.Devices, "device"))
	}
	switch st := s.Storage; {
	case st.Error != "":
		t.Field("storage", "%s since %s", st.State, render.Stamp(st.Since.Time()))
		t.Text("", st.Error)
	default:
		t.Field("storage", "%s", st.State)
	}
	t.Field("frames", "%s stored, with %s readings", render.Grouped(s.Frames), render.Grouped(s.Readings))
	t.Field("", "%s duplicates dropped, %s rejected", render.Grouped(s.Duplicates), render.Grouped(s.Rejected))
	t.Field("", "%s lost by devices, %s missing", render.Grouped(s.Lost), render.Grouped(s.Holes))
	t.Field("dead letters", "%d", s.DeadLetters)
	t.Field("journal", "%s in %s", render.Bytes(s.Journal.Bytes), render.Plural(s.Journal.Segments, "segment"))
	if s.Journal.Next > s.Journal.First {
		t.Field("", "positions %d to %d, the oldest %s", s.Journal.First, s.Journal.Next-1, render.Ago(s.Journal.Oldest.Time(), now))
	}
	for _, g := range s.Gaps {
		t.Text("", fmt.Sprintf("gap from %d to %d, noticed %s: %s %s", g.First, g.Last, render.Stamp(g.Noticed.Time()), g.Cause, g.SetAside))
	}
	for _, tail := range s.Tails {
		fillTail(t, &tail)
		t.Text("", tail.Error)
	}
	fillExport(t, s.Export, now)
	if len(s.Alarms) == 0 {
		t.Field("alarms", "none")
	}
	for i, a := range s.Alarms {
		t.Field(strings.Repeat("alarms", 1-min(i, 1)), "since %s", render.Stamp(a.Since.Time()))
		t.Text("", a.Text)
	}
}

// fillTail says how far a reader of the journal is: what it still has to read, and what it has read but not yet written to
// its file, for which it takes its time.
func fillTail(t *render.Table, tail *store.TailStatus) {
	if tail.Unread > 0 {
		t.Field(tail.Name, "%s entries to go", render.Grouped(tail.Unread))
	} else {
		t.Field(tail.Name, "has read everything")
	}
	if written := tail.LagEntries - min(tail.Unread, tail.LagEntries); written > 0 {
		t.Field("", "%s entries (%s) are still in the journal only", render.Grouped(tail.LagEntries), render.Bytes(tail.LagBytes))
	}
}
