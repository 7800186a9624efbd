package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

func newAudit() *cobra.Command {
	var f client.Filter
	hub := &hubFlags{}
	cmd := printing(&cobra.Command{
		Use:   "audit [--device ID] [--since 1d] [--limit N] [--format F]",
		Short: "Show who did what, and what came of it",
		Long: `audit prints the audit trail, the newest entry first: each step of every
command, desired values, and what was done to devices and users, with who did it
and from where. The hub has no way to change an entry; the oldest of 50,000 go.`,
		Example: `  telemetry-hub audit --device room-1 --since 7d
  telemetry-hub audit --limit 50000 --format json > audit.json`,
		Args: exactArgs(),
	}, hub, reading, func(ctx context.Context, c *client.Client, _ []string) ([]api.AuditEntry, error) {
		return c.AuditTrail(ctx, f)
	},
		inColumns(auditColumns, "There are no such entries."))
	cmd.Flags().StringVar(&f.Device, "device", "", "only what is about this `device`")
	filterFlags(cmd, &f)
	hub.completeFlag(cmd, "device", deviceIDs)
	return cmd
}

var auditColumns = []render.Column[api.AuditEntry]{
	{Name: "time", Cell: func(e *api.AuditEntry) any { return render.Exact(e.At.Time()) }},
	{Name: "by", Cell: func(e *api.AuditEntry) any { return e.By }},
	{Name: "from", Cell: func(e *api.AuditEntry) any { return e.From }},
	{Name: "device", Cell: func(e *api.AuditEntry) any { return e.Device }},
	{Name: "action", Cell: func(e *api.AuditEntry) any { return e.Action }},
	{Name: "text", Cell: func(e *api.AuditEntry) any { return e.Text }},
}
