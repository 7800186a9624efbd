package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func newAudit() *cobra.Command {
	var f store.AuditFilter
	var since, format string
	var dir *string
	cmd := &cobra.Command{
		Use:   "audit [--device ID] [--since 1d] [--limit N] [--format json]",
		Short: "Show who did what, and what came of it",
		Long: `audit prints the audit trail, the newest entry first: each step of every
command, desired values, and what was done to devices and users, with who did it
and from where. The hub has no way to change an entry; the oldest of 50,000 go.`,
		Example: `  telemetry-hub audit --device room-1 --since 7d
  telemetry-hub audit --limit 50000 --format json > audit.json`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if err := exactArgs()(cmd, args); err != nil {
				return err
			}
			if f.Since, _, err = bounds(since, "", "", time.Now()); err != nil {
				return misused(cmd, err)
			}
			return checkFormat(cmd, format)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				list, err := pages(f.Limit, func(limit int, last *store.AuditEntry) ([]store.AuditEntry, error) {
					f.Limit = limit
					if last != nil {
						f.Before = last.Number
					}
					return c.AuditTrail(ctx, f)
				})
				if err != nil {
					return err
				}
				if format == "json" {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printAudit(cmd.OutOrStdout(), list)
			})
		},
	}
	cmd.Flags().StringVar(&f.Device, "device", "", "only what is about this `device`")
	cmd.Flags().StringVar(&since, "since", "", "no older than this: 90s, 1h, 7d")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "how many at most")
	formatFlag(cmd, &format)
	dir = dataDirFlag(cmd)
	return cmd
}

func printAudit(w io.Writer, list []store.AuditEntry) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "There are no such entries.")
		return err
	}
	t := newTable(w, "TIME (UTC)", "BY", "FROM", "DEVICE", "ACTION", "TEXT")
	for i := range list {
		e := &list[i]
		t.row(e.At.UTC().Format("2006-01-02 15:04:05.000"), e.By, e.From, e.Device, e.Action, e.Text)
	}
	return t.flush()
}
