package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

func newDeviceList() *cobra.Command {
	return printing(&cobra.Command{
		Use:   "list [--format F]",
		Short: "List the devices with their state and counters",
		Example: `  telemetry-hub device list
  telemetry-hub device list --format json | jq -r '.[] | select(.revoked) | .id'`,
		Args: exactArgs(),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, _ []string) ([]api.DeviceItem, error) {
		return c.Devices(ctx)
	},
		inColumns(deviceColumns, "There are no devices yet: telemetry-hub device add ID registers one."))
}

var deviceColumns = []render.Column[api.DeviceItem]{
	{Name: "device", Cell: func(d *api.DeviceItem) any { return d.ID }},
	{Name: "state", Cell: func(d *api.DeviceItem) any {
		return render.Either{Table: deviceState(&d.DeviceRecord), CSV: string(d.State)}
	}},
	{Name: "newest data", Cell: func(d *api.DeviceItem) any { return render.Age(d.Books.LastData.Time()) }},
	{Name: "frames", Cell: func(d *api.DeviceItem) any { return d.Books.Frames }},
	{Name: "rejected", Cell: func(d *api.DeviceItem) any { return d.Books.Rejected }},
	{Name: "lost", Cell: func(d *api.DeviceItem) any { return d.Books.Lost }},
	{Name: "missing", Cell: func(d *api.DeviceItem) any { return d.Books.Holes }},
}

func deviceState(d *api.DeviceRecord) string {
	now := time.Now()
	switch {
	case d.Revoked:
		return "revoked"
	case d.Presence.Connected:
		return "connected " + render.Duration(now.Sub(d.Presence.Since.Time()))
	case d.Presence.LastSeen == 0:
		return "never seen"
	}
	return "seen " + render.Ago(d.Presence.LastSeen.Time(), now)
}

func newDeviceShow() *cobra.Command {
	return printing(&cobra.Command{
		Use:     "show ID [--format F]",
		Short:   "Show everything known of a device",
		Example: "  telemetry-hub device show pump-7",
		Args:    exactArgs("ID"),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, args []string) (api.Device, error) {
		return c.Device(ctx, args[0])
	},
		inFields(fillDevice), deviceIDs)
}

func fillDevice(t *render.Table, d *api.Device) {
	row, p := &d.Device, &d.Presence
	t.Field("device", "%s", row.ID)
	t.Field("kind", "%s", d.Kind)
	for i, k := range slices.Sorted(maps.Keys(d.Labels)) {
		t.Field(strings.Repeat("labels", 1-min(i, 1)), "%s=%s", k, d.Labels[k])
	}
	t.Field("state", "%s", deviceState(&d.DeviceRecord))
	if p.Address != "" {
		t.Field("address", "%s", p.Address)
	}
	if p.Takeovers > 0 {
		t.Field("conflict", "%d takeovers lately between connections from %s: two devices seem to use its token", p.Takeovers, strings.Join(p.Rivals, " and "))
	}
	if row.Model != "" || row.Firmware != "" {
		t.Field("model", "%q, firmware %q", row.Model, row.Firmware)
	}
	if p.Skew != 0 {
		t.Field("clock", "%+.3f s from the hub's", float64(p.Skew)/1e3)
	}
	t.Field("registered", "%s", render.Stamp(d.Created.Time()))
	t.Field("newest data", "%s", render.Stamp(d.Books.LastData.Time()))
	for i, token := range d.Tokens {
		used := "never used"
		if token.FirstUsed != 0 {
			used = "first used " + render.Stamp(token.FirstUsed.Time())
		}
		if token.Expires != 0 {
			used += ", ends " + render.Stamp(token.Expires.Time())
		}
		t.Field(fmt.Sprintf("token %d", i+1), "made %s, %s", render.Stamp(token.Created.Time()), used)
	}
	b := d.Books
	t.Field("frames", "%s stored, with %s readings", render.Grouped(b.Frames), render.Grouped(b.Readings))
	t.Field("", "%s duplicates dropped, %s rejected", render.Grouped(b.Duplicates), render.Grouped(b.Rejected))
	t.Field("", "%s lost by the device, %s missing", render.Grouped(b.Lost), render.Grouped(b.Holes))
	if d.Schema != nil {
		fillSchema(t, d.Schema)
	}
}

func fillSchema(t *render.Table, s *live.Schema) {
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
		t.Line("commands: " + strings.Join(commandNames(s), ", "))
	}
}
