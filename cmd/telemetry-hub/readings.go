package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

func newReadings() *cobra.Command {
	var q client.ReadingsQuery
	var since, from, to string
	var follow bool
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "readings DEVICE... [--channel C]... [--since 1h | --from T --to T] [--follow] [--format F]",
		Short: "Print the readings of devices",
		Long: `readings prints the readings of a device in the order of their times, those with
the same time in the order they came, then those of the next device; without
bounds, all there are. Times are in UTC, to the microsecond. It needs the same
memory for a million readings as for ten, and exits with 1 if it could not print
all of them, or if some are known to be missing: because a file is damaged, or
the journal has lost entries.

With --follow it goes on with what comes, from --since 10s on unless another
time is given. A reading that comes late, with a time before that of one that
was printed, is not printed then.

--from and --to take RFC 3339 times (2026-02-04T17:51:00Z) and dates
(2026-02-04, its beginning in UTC); the reading at --to is not printed any more.

Formats:
  table         for people
  csv           time,device,channel,value,unit,time_quality, with a header. It
                is for spreadsheets: a text that would be a formula has a '
                before it, and a control character is written like \x1b
  json          one object a line, with the same names
  lineprotocol  for InfluxDB, a line a sample, as the hub's export writes it:
                measurement is the device's kind, tags device and labels,
                numbers floats, times in ns; NaN and infinities are left out`,
		Example: `  telemetry-hub readings pump-7 --since 1h
  telemetry-hub readings pump-7 --channel flow --from 2026-02-04 --to 2026-02-05
  telemetry-hub readings pump-7 --format csv > pump-7.csv
  telemetry-hub readings pump-7 pump-8 --channel flow --follow`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused(cmd, errors.New("DEVICE is missing"))
			}
			return nil
		},
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if follow && to != "" {
				return misused(cmd, errors.New("--follow goes without --to"))
			}
			if follow && since == "" && from == "" {
				since = "10s"
			}
			if q.From, q.To, err = bounds(since, from, to, time.Now()); err != nil {
				return misused(cmd, err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if !slices.Contains(q.Devices, id) {
					q.Devices = append(q.Devices, id)
				}
			}
			if follow {
				return followReadings(cmd, &hub, q)
			}
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *client.Client) error {
				return c.Readings(ctx, q, cmd.OutOrStdout())
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&q.Channels, "channel", nil, "only this `channel`; may be repeated")
	f.StringVar(&since, "since", "", "no older than this: 90s, 1h, 7d")
	f.StringVar(&from, "from", "", "from this time on")
	f.StringVar(&to, "to", "", "before this time")
	f.BoolVar(&follow, "follow", false, "go on with what comes, until Ctrl-C")
	q.Format = render.FormatTable
	choiceFlag(cmd, &q.Format, "format", "F", render.FormatTable, render.FormatJSON, render.FormatCSV, render.FormatLineProtocol)
	hub.add(cmd)
	hub.completeFlag(cmd, "channel", schemaNames(channelNames))
	cmd.ValidArgsFunction = hub.complete(deviceIDs)
	return cmd
}

// followReadings prints readings until a signal ends it.
func followReadings(cmd *cobra.Command, hub *hubFlags, q client.ReadingsQuery) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cmd.SetContext(ctx)
	err := withHub(cmd, hub, reading, func(ctx context.Context, c *client.Client) error {
		return c.Follow(ctx, q, cmd.OutOrStdout())
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// bounds turns the flags into times; zero is open.
func bounds(since, from, to string, now time.Time) (first, last time.Time, err error) {
	if since != "" {
		if from != "" || to != "" {
			return first, last, errors.New("--since goes without --from and --to")
		}
		d, err := parseDuration(since)
		if err != nil || d <= 0 {
			return first, last, fmt.Errorf("--since: %q is not a duration like 90s, 1h or 7d", since)
		}
		return now.Add(-d), last, nil
	}
	if first, err = parseTime("--from", from); err != nil {
		return first, last, err
	}
	if last, err = parseTime("--to", to); err != nil {
		return first, last, err
	}
	if from != "" && to != "" && !first.Before(last) {
		return first, last, errors.New("--from is not before --to")
	}
	return first, last, nil
}

func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q is not a time like 2026-02-04T17:51:00Z or a date like 2026-02-04", flag, s)
}
