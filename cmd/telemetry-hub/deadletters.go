package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

func newDeadLetters() *cobra.Command {
	return group(&cobra.Command{
		Use:   "dead-letters",
		Short: "Look at what the hub or InfluxDB refused",
		Long: `A frame that the hub can't store, because it is malformed or does not fit the
device's schema, is rejected with a reason and kept as a dead letter, which can
be looked at. So are the lines of a stored frame that InfluxDB
refuses; those can be sent again.`,
	}, newDeadLettersList(), newDeadLettersShow(), newDeadLettersReplay(), newDeadLettersDrop())
}

func newDeadLettersList() *cobra.Command {
	var format string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "list [--format F]",
		Short: "List the dead letters, oldest first",
		Long:  `list prints the dead letters, oldest first, with --format json one a line.`,
		Args:  exactArgs(),
		Example: `  telemetry-hub dead-letters list
  telemetry-hub dead-letters list --format json | jq -r .device | sort | uniq -c`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, &hub, reading, func(ctx context.Context, c *client.Client) error {
				pages := render.NewPages(cmd.OutOrStdout(), format, letterColumns)
				return c.DeadLetters(ctx, pages.Print)
			})
		},
	}
	formatFlag(cmd, &format)
	hub.add(cmd)
	return cmd
}

var letterColumns = []render.Column[api.DeadLetter]{
	{Name: "position", Cell: func(l *api.DeadLetter) any { return l.Position }},
	{Name: "received", Cell: func(l *api.DeadLetter) any { return l.Received.Time() }},
	{Name: "device", Cell: func(l *api.DeadLetter) any { return l.Device }},
	{Name: "seq", Cell: func(l *api.DeadLetter) any { return sequence(l.Seq) }},
	{Name: "bytes", Cell: func(l *api.DeadLetter) any { return len(l.Message) }},
	{Name: "reason", Cell: func(l *api.DeadLetter) any { return reason(l) }},
}

// reason says who refused it, and why.
func reason(l *api.DeadLetter) string {
	if l.Lines > 0 {
		return fmt.Sprintf("InfluxDB, %s: %s", render.Plural(l.Lines, "line"), l.Text)
	}
	return l.Reason + ": " + l.Text
}

// sequence is a frame's number; 0 stands for one that could not be read.
func sequence(seq uint64) string {
	if seq == 0 {
		return "?"
	}
	return strconv.FormatUint(seq, 10)
}

func newDeadLettersShow() *cobra.Command {
	return printing(&cobra.Command{
		Use:     "show POSITION [--format F]",
		Short:   "Show a dead letter with the bytes of its frame",
		Example: "  telemetry-hub dead-letters show 4711",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactArgs("POSITION")(cmd, args); err != nil {
				return err
			}
			_, err := parsePositions(cmd, args)
			return err
		},
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, args []string) (api.DeadLetter, error) {
		position, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return api.DeadLetter{}, err
		}
		return c.DeadLetter(ctx, position)
	}, printLetter)
}

func printLetter(w io.Writer, format string, l api.DeadLetter) error {
	if format != render.FormatTable {
		return render.Record(w, format, l, nil)
	}
	content := hex.Dump(l.Message)
	if l.Lines > 0 {
		content = string(l.Message) // line protocol, as it was sent
	}
	_, err := fmt.Fprintf(text.NewWriter(w), "position  %d\nreceived  %s\ndevice    %s\nseq       %s\nreason    %s\n\n%s",
		l.Position, render.Stamp(l.Received.Time()), l.Device, sequence(l.Seq), reason(&l), content)
	return err
}

func newDeadLettersReplay() *cobra.Command {
	return onPositions(&cobra.Command{
		Use:   "replay {POSITION... | --all}",
		Short: "Send what InfluxDB refused once more",
		Long: `replay sends the lines that InfluxDB refused once more, after the cause is
mended. Those it takes are dead letters no more. The hub must be running.`,
		Example: `  telemetry-hub dead-letters replay --all`,
	}, "replay all that InfluxDB refused", func(cmd *cobra.Command, c *client.Client, positions []uint64) error {
		r, err := c.ReplayDeadLetters(cmd.Context(), positions)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s accepted, %d refused again\n", render.Plural(r.Replayed, "dead letter"), r.Refused)
		return nil
	})
}

func newDeadLettersDrop() *cobra.Command {
	return onPositions(&cobra.Command{
		Use:   "drop {POSITION... | --all}",
		Short: "Drop dead letters",
		Long:  `drop forgets dead letters. Their frames still count as rejected.`,
		Example: `  telemetry-hub dead-letters drop 4711 4712
  telemetry-hub dead-letters drop --all`,
	}, "drop all of them", func(cmd *cobra.Command, c *client.Client, positions []uint64) error {
		n, err := c.DropDeadLetters(cmd.Context(), positions)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s dropped\n", render.Plural(n, "dead letter"))
		if n < len(positions) {
			return &codedError{fmt.Errorf("%d of the positions had none", len(positions)-n), exitNotFound}
		}
		return nil
	})
}

// onPositions completes a command that takes positions of dead letters, or --all, for which use gets nil.
func onPositions(cmd *cobra.Command, allUsage string, use func(*cobra.Command, *client.Client, []uint64) error) *cobra.Command {
	var all bool
	cmd.Flags().BoolVar(&all, "all", false, allUsage)
	var hub hubFlags
	hub.add(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) > 0) {
			return misused(cmd, errors.New("either positions or --all is needed"))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		positions, err := parsePositions(cmd, args)
		if err != nil {
			return err
		}
		return withHub(cmd, &hub, existing, func(_ context.Context, c *client.Client) error { return use(cmd, c, positions) })
	}
	return cmd
}

// parsePositions returns nil for no arguments.
func parsePositions(cmd *cobra.Command, args []string) (positions []uint64, err error) {
	for _, a := range args {
		p, err := strconv.ParseUint(a, 10, 64)
		if err != nil || p == 0 {
			return nil, misused(cmd, fmt.Errorf("%q is not a position", a))
		}
		positions = append(positions, p)
	}
	return positions, nil
}
