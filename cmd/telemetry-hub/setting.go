package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

func newSetting() *cobra.Command {
	return group(&cobra.Command{
		Use:   "setting",
		Short: "Keep channels of devices at desired values",
		Long: `A channel that a device has declared writable can be given a desired value. The
hub sends it to the device, now or when that connects, and again whenever the
device reports another value:

  in_sync    the newest reading is the desired value
  pending    not yet
  refused    the device has rejected the value; it is not sent again`,
	}, newSettingList(), newSettingSet(), newSettingClear())
}

func newSettingList() *cobra.Command {
	var format string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:     "list DEVICE [--format F]",
		Short:   "List the desired values of a device beside what it reports",
		Example: "  telemetry-hub setting list room-1",
		Args:    exactArgs("DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *client.Client) error {
				list, err := c.Settings(ctx, args[0])
				if err != nil {
					return err
				}
				return render.List(cmd.OutOrStdout(), format, list, settingColumns(time.Now()), "No desired values are set.")
			})
		},
	}
	formatFlag(cmd, &format)
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(deviceIDs)
	return cmd
}

func settingColumns(now time.Time) []render.Column[live.SettingStatus] {
	return []render.Column[live.SettingStatus]{
		{Name: "channel", Cell: func(s *live.SettingStatus) any { return s.Channel }},
		{Name: "desired", Cell: func(s *live.SettingStatus) any { return render.Either{Table: plainText(s.Desired), CSV: s.Desired} }},
		{Name: "reported", Cell: func(s *live.SettingStatus) any {
			if s.Reported == nil {
				return render.Either{Table: "nothing"}
			}
			return render.Either{Table: plainText(s.Reported), CSV: s.Reported}
		}},
		{Name: "status", Cell: func(s *live.SettingStatus) any { return s.Status }},
		{Name: "since", Cell: func(s *live.SettingStatus) any { return render.Age{At: s.Since.Time(), Now: now} }},
		{Name: "by", Cell: func(s *live.SettingStatus) any { return s.By }},
		{Name: "reason", Cell: func(s *live.SettingStatus) any { return s.Reason }},
	}
}

func newSettingSet() *cobra.Command {
	var hub hubFlags
	cmd := &cobra.Command{
		Use:     "set DEVICE CHANNEL=VALUE",
		Short:   "Give a channel a desired value",
		Example: "  telemetry-hub setting set room-1 setpoint=21.5",
		Args:    exactArgs("DEVICE", "CHANNEL=VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			channel, value, ok := strings.Cut(args[1], "=")
			if !ok {
				return misused(cmd, fmt.Errorf("%q is not like CHANNEL=VALUE", args[1]))
			}
			return withHub(cmd, &hub, existing, func(ctx context.Context, c *client.Client) error {
				set, err := c.SetDesired(ctx, args[0], channel, value)
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s is %s\n", channel, args[0], set.Status)
				}
				return err
			})
		},
	}
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(deviceIDs, schemaNames(writableNames("=")))
	return cmd
}

func newSettingClear() *cobra.Command {
	var hub hubFlags
	cmd := &cobra.Command{
		Use:     "clear DEVICE CHANNEL",
		Short:   "Remove the desired value of a channel; the device keeps what it has",
		Example: "  telemetry-hub setting clear room-1 setpoint",
		Args:    exactArgs("DEVICE", "CHANNEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, &hub, existing, func(ctx context.Context, c *client.Client) error {
				return c.ClearDesired(ctx, args[0], args[1])
			})
		},
	}
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(deviceIDs, schemaNames(writableNames("")))
	return cmd
}
