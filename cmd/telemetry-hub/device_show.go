package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
)

func newDeviceList() *cobra.Command {
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List the devices with their state and books",
		Example: `  telemetry-hub device list
  telemetry-hub device list --json | jq -r '.[] | select(.revoked) | .id'`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				devices, err := c.Devices(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), devices)
				}
				return printDevices(cmd.OutOrStdout(), devices, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	dir = dataDirFlag(cmd)
	return cmd
}

func printDevices(w io.Writer, devices []control.Device, now time.Time) error {
	if len(devices) == 0 {
		_, err := fmt.Fprintln(w, "There are no devices yet: telemetry-hub device add ID registers one.")
		return err
	}
	t := newTable(w, "DEVICE", "STATE", "NEWEST DATA", "FRAMES", "REJECTED", "LOST", "MISSING")
	for _, d := range devices {
		b := d.Books
		t.row(d.ID, deviceState(&d, now), ago(d.LastData, now), b.Frames, b.Rejected, b.Lost, b.Holes)
	}
	return t.flush()
}

func deviceState(d *control.Device, now time.Time) string {
	switch {
	case d.Revoked:
		return "revoked"
	case d.Connected:
		return "connected " + duration(now.Sub(d.ConnectedSince))
	case d.LastSeen.IsZero():
		return "never seen"
	}
	return "seen " + ago(d.LastSeen, now)
}

func newDeviceShow() *cobra.Command {
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:     "show ID [--json]",
		Short:   "Show everything known of a device",
		Example: "  telemetry-hub device show pump-7",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				d, err := c.Device(ctx, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), d)
				}
				return printDevice(cmd.OutOrStdout(), &d, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeDevices(dir)
	return cmd
}

func printDevice(w io.Writer, d *control.Device, now time.Time) error {
	t := newTable(w)
	row := func(name, format string, args ...any) { t.row(name, fmt.Sprintf(format, args...)) }
	row("device", "%s", d.ID)
	row("kind", "%s", d.Kind)
	for i, k := range slices.Sorted(maps.Keys(d.Labels)) {
		row(strings.Repeat("labels", 1-min(i, 1)), "%s=%s", k, d.Labels[k])
	}
	row("state", "%s", deviceState(d, now))
	if d.Address != "" {
		row("address", "%s", d.Address)
	}
	if d.Takeovers > 0 {
		row("conflict", "%d takeovers lately between connections from %s: two devices seem to use its token", d.Takeovers, strings.Join(d.Rivals, " and "))
	}
	if d.Model != "" || d.Firmware != "" {
		row("model", "%q, firmware %q", d.Model, d.Firmware)
	}
	if d.ClockSkew != 0 {
		row("clock", "%+.3f s from the hub's", d.ClockSkew)
	}
	row("registered", "%s", stamp(d.Created))
	row("newest data", "%s", stamp(d.LastData))
	for i, token := range d.Tokens {
		used := "never used"
		if !token.FirstUsed.IsZero() {
			used = "first used " + stamp(token.FirstUsed)
		}
		if !token.Expires.IsZero() {
			used += ", ends " + stamp(token.Expires)
		}
		row(fmt.Sprintf("token %d", i+1), "made %s, %s", stamp(token.Created), used)
	}
	b := d.Books
	row("frames", "%s stored, with %s readings", grouped(b.Frames), grouped(b.Readings))
	row("", "%s duplicates dropped, %s rejected", grouped(b.Duplicates), grouped(b.Rejected))
	row("", "%s lost by the device, %s missing", grouped(b.Lost), grouped(b.Holes))
	if err := t.flush(); err != nil || d.Schema == nil {
		return err
	}
	return printSchema(w, d.Schema)
}

func printSchema(w io.Writer, s *control.Schema) error {
	fmt.Fprintln(w)
	t := newTable(w, "CHANNEL", "TYPE", "UNIT", "EVERY")
	for _, ch := range s.Channels {
		every, kind := "", ch.Type
		if ch.Interval > 0 {
			every = (time.Duration(ch.Interval) * time.Millisecond).String()
		}
		if ch.Scale != 0 {
			kind += fmt.Sprintf(" × 10^%d", ch.Scale)
		}
		t.row(ch.Name, kind, ch.Unit, every)
	}
	if len(s.Commands) > 0 {
		t.row()
		t.row("commands: " + strings.Join(s.Commands, ", "))
	}
	return t.flush()
}
