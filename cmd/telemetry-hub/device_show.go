package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/control"
)

func newDeviceList() *cobra.Command {
	var format string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "list [--format F]",
		Short: "List the devices with their state and books",
		Example: `  telemetry-hub device list
  telemetry-hub device list --format json | jq -r '.[] | select(.revoked) | .id'`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *control.Client) error {
				devices, err := c.Devices(ctx)
				if err != nil {
					return err
				}
				return render.List(cmd.OutOrStdout(), format, devices, deviceColumns(time.Now()),
					"There are no devices yet: telemetry-hub device add ID registers one.")
			})
		},
	}
	formatFlag(cmd, &format)
	hub.add(cmd)
	return cmd
}

func deviceColumns(now time.Time) []render.Column[control.Device] {
	return []render.Column[control.Device]{
		{Name: "device", Cell: func(d *control.Device) any { return d.ID }},
		{Name: "state", Cell: func(d *control.Device) any { return deviceState(d, now) }},
		{Name: "newest data", Cell: func(d *control.Device) any { return render.Age{At: d.LastData, Now: now} }},
		{Name: "frames", Cell: func(d *control.Device) any { return d.Books.Frames }},
		{Name: "rejected", Cell: func(d *control.Device) any { return d.Books.Rejected }},
		{Name: "lost", Cell: func(d *control.Device) any { return d.Books.Lost }},
		{Name: "missing", Cell: func(d *control.Device) any { return d.Books.Holes }},
	}
}

func deviceState(d *control.Device, now time.Time) string {
	switch {
	case d.Revoked:
		return "revoked"
	case d.Connected:
		return "connected " + render.Duration(now.Sub(d.ConnectedSince))
	case d.LastSeen.IsZero():
		return "never seen"
	}
	return "seen " + render.Ago(d.LastSeen, now)
}

func newDeviceShow() *cobra.Command {
	var format string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:     "show ID [--format F]",
		Short:   "Show everything known of a device",
		Example: "  telemetry-hub device show pump-7",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *control.Client) error {
				d, err := c.Device(ctx, args[0])
				if err != nil {
					return err
				}
				return render.Record(cmd.OutOrStdout(), format, d, func(t *render.Table) { fillDevice(t, &d, time.Now()) })
			})
		},
	}
	formatFlag(cmd, &format)
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(deviceIDs)
	return cmd
}

func fillDevice(t *render.Table, d *control.Device, now time.Time) {
	t.Field("device", "%s", d.ID)
	t.Field("kind", "%s", d.Kind)
	for i, k := range slices.Sorted(maps.Keys(d.Labels)) {
		t.Field(strings.Repeat("labels", 1-min(i, 1)), "%s=%s", k, d.Labels[k])
	}
	t.Field("state", "%s", deviceState(d, now))
	if d.Address != "" {
		t.Field("address", "%s", d.Address)
	}
	if d.Takeovers > 0 {
		t.Field("conflict", "%d takeovers lately between connections from %s: two devices seem to use its token", d.Takeovers, strings.Join(d.Rivals, " and "))
	}
	if d.Model != "" || d.Firmware != "" {
		t.Field("model", "%q, firmware %q", d.Model, d.Firmware)
	}
	if d.ClockSkew != 0 {
		t.Field("clock", "%+.3f s from the hub's", d.ClockSkew)
	}
	t.Field("registered", "%s", render.Stamp(d.Created))
	t.Field("newest data", "%s", render.Stamp(d.LastData))
	for i, token := range d.Tokens {
		used := "never used"
		if !token.FirstUsed.IsZero() {
			used = "first used " + render.Stamp(token.FirstUsed)
		}
		if !token.Expires.IsZero() {
			used += ", ends " + render.Stamp(token.Expires)
		}
		t.Field(fmt.Sprintf("token %d", i+1), "made %s, %s", render.Stamp(token.Created), used)
	}
	b := d.Books
	t.Field("frames", "%s stored, with %s readings", render.Grouped(b.Frames), render.Grouped(b.Readings))
	t.Field("", "%s duplicates dropped, %s rejected", render.Grouped(b.Duplicates), render.Grouped(b.Rejected))
	t.Field("", "%s lost by the device, %s missing", render.Grouped(b.Lost), render.Grouped(b.Holes))
	if d.Schema != nil {
		fillSchema(t, d.Schema)
	}
}

func fillSchema(t *render.Table, s *control.Schema) {
	t.Line("")
	t.Row("CHANNEL", "TYPE", "UNIT", "EVERY")
	for _, ch := range s.Channels {
		every, kind := "", ch.Type
		if ch.Interval > 0 {
			every = (time.Duration(ch.Interval) * time.Millisecond).String()
		}
		if ch.Scale != 0 {
			kind += fmt.Sprintf(" × 10^%d", ch.Scale)
		}
		t.Row(ch.Name, kind, ch.Unit, every)
	}
	if len(s.Commands) > 0 {
		t.Line("")
		t.Line("commands: " + strings.Join(s.Commands, ", "))
	}
}
