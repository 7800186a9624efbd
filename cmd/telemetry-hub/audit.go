package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

func newAudit() *cobra.Command {
	var f audit.Filter
	var since, format string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "audit [--device ID] [--since 1d] [--limit N] [--format F]",
		Short: "Show who did what, and what came of it",
		Long: `audit prints the audit trail, the newest entry first: each step of every
command, desired values, and what was done to devices and users, with who did it
and from where. The hub has no way to change an entry; the oldest of 50,000 go.`,
		Example: `  telemetry-hub audit --device room-1 --since 7d
  telemetry-hub audit --limit 50000 --format json > audit.json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.Since, _, err = bounds(since, "", "", time.Now()); err != nil {
				return misused(cmd, err)
			}
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *control.Client) error {
				list, err := pages(f.Limit, func(limit int, last *audit.Entry) ([]audit.Entry, error) {
					f.Limit = limit
					if last != nil {
						f.Before = last.Number
					}
					return c.AuditTrail(ctx, f)
				})
				if err != nil {
					return err
				}
				return render.List(cmd.OutOrStdout(), format, list, auditColumns, "There are no such entries.")
			})
		},
	}
	cmd.Flags().StringVar(&f.Device, "device", "", "only what is about this `device`")
	cmd.Flags().StringVar(&since, "since", "", "no older than this: 90s, 1h, 7d")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "how many at most")
	formatFlag(cmd, &format)
	hub.add(cmd)
	hub.completeFlag(cmd, "device", deviceIDs)
	return cmd
}

var auditColumns = []render.Column[audit.Entry]{
	{Name: "time", Cell: func(e *audit.Entry) any { return render.Exact(e.At) }},
	{Name: "by", Cell: func(e *audit.Entry) any { return e.By }},
	{Name: "from", Cell: func(e *audit.Entry) any { return e.From }},
	{Name: "device", Cell: func(e *audit.Entry) any { return e.Device }},
	{Name: "action", Cell: func(e *audit.Entry) any { return e.Action }},
	{Name: "text", Cell: func(e *audit.Entry) any { return e.Text }},
}
