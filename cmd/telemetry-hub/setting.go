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
	var dir *string
	cmd := &cobra.Command{
		Use:     "list DEVICE [--format json]",
		Short:   "List the desired values of a device beside what it reports",
		Example: "  telemetry-hub setting list room-1",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactArgs("DEVICE")(cmd, args); err != nil {
				return err
			}
			return checkFormat(cmd, format)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				list, err := c.Settings(ctx, args[0])
				if err != nil {
					return err
				}
				if format == "json" {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printSettings(cmd.OutOrStdout(), list, time.Now())
			})
		},
	}
	formatFlag(cmd, &format)
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeDevices(dir)
	return cmd
}

func printSettings(w io.Writer, list []store.Setting, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is desired of it.")
		return err
	}
	t := newTable(w, "CHANNEL", "DESIRED", "REPORTED", "STATUS", "SINCE", "BY", "REASON")
	for i := range list {
		s := &list[i]
		reported := "nothing"
		if s.Reported != nil {
			reported = plainText(s.Reported)
		}
		t.row(s.Channel, plainText(s.Desired), reported, s.Status, ago(s.Since, now), s.By, s.Reason)
	}
	return t.flush()
}

func newSettingSet() *cobra.Command {
	var dir *string
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
			return withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) error {
				set, err := c.SetDesired(ctx, args[0], channel, value)
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s is %s\n", channel, args[0], set.Status)
				}
				return err
			})
		},
	}
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeDevices(dir)
	return cmd
}

func newSettingClear() *cobra.Command {
	var dir *string
	cmd := &cobra.Command{
		Use:     "clear DEVICE CHANNEL",
		Short:   "End the hub's care for a channel; the device keeps what it has",
		Example: "  telemetry-hub setting clear room-1 setpoint",
		Args:    exactArgs("DEVICE", "CHANNEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) error {
				return c.ClearDesired(ctx, args[0], args[1])
			})
		},
	}
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeDevices(dir)
	return cmd
}
