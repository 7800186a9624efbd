package main

import (
	"context"
	"fmt"
	"strings"

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
	return printing(&cobra.Command{
		Use:     "list DEVICE [--format F]",
		Short:   "List the desired values of a device beside what it reports",
		Example: "  telemetry-hub setting list room-1",
		Args:    exactArgs("DEVICE"),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, args []string) ([]live.SettingStatus, error) {
		return c.Settings(ctx, args[0])
	}, inColumns(settingColumns, "No desired values are set."), deviceIDs)
}

var settingColumns = []render.Column[live.SettingStatus]{
	{Name: "channel", Cell: func(s *live.SettingStatus) any { return s.Channel }},
	{Name: "desired", Cell: func(s *live.SettingStatus) any { return render.Either{Table: plainText(s.Desired), CSV: s.Desired} }},
	{Name: "reported", Cell: func(s *live.SettingStatus) any {
		if s.Reported == nil {
			return render.Either{Table: "nothing"}
		}
		return render.Either{Table: plainText(s.Reported), CSV: s.Reported}
	}},
	{Name: "status", Cell: func(s *live.SettingStatus) any { return s.Status }},
	{Name: "since", Cell: func(s *live.SettingStatus) any { return render.Age(s.Since.Time()) }},
	{Name: "by", Cell: func(s *live.SettingStatus) any { return s.By }},
	{Name: "reason", Cell: func(s *live.SettingStatus) any { return s.Reason }},
}

func newSettingSet() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "set DEVICE CHANNEL=VALUE",
		Short:   "Give a channel a desired value",
		Example: "  telemetry-hub setting set room-1 setpoint=21.5",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactArgs("DEVICE", "CHANNEL=VALUE")(cmd, args); err != nil {
				return err
			}
			if !strings.Contains(args[1], "=") {
				return misused(cmd, fmt.Errorf("%q is not like CHANNEL=VALUE", args[1]))
			}
			return nil
		},
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		channel, value, _ := strings.Cut(args[1], "=")
		set, err := c.SetDesired(ctx, args[0], channel, value)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s of %s is %s", channel, args[0], set.Status), nil
	}, deviceIDs, schemaNames(writableNames("=")))
}

func newSettingClear() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "clear DEVICE CHANNEL",
		Short:   "Remove the desired value of a channel; the device keeps what it has",
		Example: "  telemetry-hub setting clear room-1 setpoint",
		Args:    exactArgs("DEVICE", "CHANNEL"),
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		return "", c.ClearDesired(ctx, args[0], args[1])
	}, deviceIDs, schemaNames(writableNames("")))
}
