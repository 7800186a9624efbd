package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func newStatus() *cobra.Command {
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:   "status [--json]",
		Short: "Show what the hub does and holds",
		Long: `status shows the state of the hub: devices and connections, the books (frames
stored, duplicates, rejected, lost, missing), the journal and how far each of
its readers is, and what is wrong, if something is. It works without a running
hub, too.`,
		Example: `  telemetry-hub status
  telemetry-hub status --json | jq .alarms`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				return printStatus(cmd.OutOrStdout(), &s, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	dir = dataDirFlag(cmd)
	return cmd
}

const statusText = 80 - len("dead letters  ") // columns for a text

func printStatus(w io.Writer, s *control.Status, now time.Time) error {
	t := newTable(w)
	row := func(name, format string, args ...any) { t.row(name, fmt.Sprintf(format, args...)) }

	text := func(s string) {
		for line := range wrapped(s, statusText) {
			row("", "%s", line)
		}
	}
	if s.Running {
		row("hub", "running, %d of %s connected", s.Connected, plural(s.Devices, "device"))
	} else {
		row("hub", "not running, %s registered", plural(s.Devices, "device"))
	}
	switch st := s.Storage; {
	case st.Error != "":
		row("storage", "%s since %s", st.State, stamp(st.Since))
		text(st.Error)
	default:
		row("storage", "%s", st.State)
	}
	row("frames", "%s stored, with %s readings", grouped(s.Frames), grouped(s.Readings))
	row("", "%s duplicates dropped, %s rejected", grouped(s.Duplicates), grouped(s.Rejected))
	row("", "%s lost by devices, %s missing", grouped(s.Lost), grouped(s.Holes))
	row("dead letters", "%d", s.DeadLetters)
	row("journal", "%s in %s", bytesOf(s.Journal.Bytes), plural(s.Journal.Segments, "segment"))
	if s.Journal.Next > s.Journal.First {
		row("", "positions %d to %d, the oldest %s", s.Journal.First, s.Journal.Next-1, ago(s.Journal.Oldest, now))
	}
	for _, g := range s.Gaps {
		text(fmt.Sprintf("gap from %d to %d, noticed %s: %s %s", g.First, g.Last, stamp(g.Noticed), g.Cause, g.SetAside))
	}
	for _, tail := range s.Tails {
		printTail(row, &tail)
		text(tail.Error)
	}
	printExport(row, text, s.Export, now)
	if len(s.Alarms) == 0 {
		row("alarms", "none")
	}
	for i, a := range s.Alarms {
		row(strings.Repeat("alarms", 1-min(i, 1)), "since %s", stamp(a.Since))
		text(a.Text)
	}
	return t.flush()
}

// printTail prints how far a reader of the journal is: what it still has to read, and what it has read but not yet written to
// its file, for which it takes its time.
func printTail(row func(name, format string, args ...any), t *store.TailStatus) {
	if t.Unread > 0 {
		row(t.Name, "%s entries to go", grouped(t.Unread))
	} else {
		row(t.Name, "has read everything")
	}
	if written := t.LagEntries - min(t.Unread, t.LagEntries); written > 0 {
		row("", "%s entries (%s) are still in the journal only", grouped(t.LagEntries), bytesOf(t.LagBytes))
	}
}
