package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// sending is what the flags of command send say.
type sending struct {
	devices, labels []string
	ttl             string
	id              string
	format          string
	wait            bool
	dryRun          bool
	rate            float64
	stopOnFailure   bool

	command client.NewCommand
}

func newCommandSend() *cobra.Command {
	var s sending
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "send {DEVICE | --label k=v... | --devices a,b} NAME [key=value]... [--ttl 30s] [--wait]",
		Short: "Send a command to a device, or to many",
		Long: `send has the hub accept a command for a device and prints its id. With --wait it
waits until the device has answered or the time is over, prints what came of it,
and exits with 1 unless that is success. A command of the same --id is sent only
once, however often send is repeated.

With --label or --devices it goes to many devices, --rate of them a second;
--dry-run shows which, and sends nothing. With --stop-on-failure the first one
that does not succeed ends it: no more are sent, and those still queued are
cancelled.`,
		Example: `  telemetry-hub command send room-1 set_setpoint celsius=21.5 --wait
  telemetry-hub command send --label site=north reboot --dry-run
  telemetry-hub command send --label site=a reboot --rate 2 --stop-on-failure`,
		Args: func(cmd *cobra.Command, args []string) error { return s.parse(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd, &hub, existing, func(ctx context.Context, c *client.Client) error {
				if s.many() {
					return s.sendMany(ctx, cmd, c)
				}
				return s.sendOne(ctx, cmd, c, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&s.labels, "label", nil, "`k=v`: devices with this label; may be repeated")
	f.StringSliceVar(&s.devices, "devices", nil, "`a,b`: these devices")
	f.StringVar(&s.ttl, "ttl", "30s", "how long the device may begin it, as in 30s, 5m, 1d")
	f.StringVar(&s.id, "id", "", "a `UUID` that makes it the same command when it is sent again")
	f.BoolVar(&s.wait, "wait", false, "wait for the result")
	f.BoolVar(&s.dryRun, "dry-run", false, "only show which devices it would go to")
	f.Float64Var(&s.rate, "rate", 10, "devices a second")
	f.BoolVar(&s.stopOnFailure, "stop-on-failure", false, "end with the first that does not succeed; waits for results")
	formatFlag(cmd, &s.format)
	hub.add(cmd)
	hub.completeFlag(cmd, "devices", deviceIDs)
	cmd.ValidArgsFunction = hub.completeCommand
	return cmd
}

func (s *sending) many() bool { return len(s.labels)+len(s.devices) > 0 }

// parse reads the arguments: a device unless there are many, a name, and key=value.
func (s *sending) parse(cmd *cobra.Command, args []string) error {
	if !s.many() {
		if len(args) == 0 {
			return misused(cmd, errors.New("DEVICE is missing, or --label or --devices"))
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return misused(cmd, errors.New("NAME is missing"))
	}
	s.command = client.NewCommand{Name: args[0], Args: map[string]string{}}
	for _, a := range args[1:] {
		k, v, ok := strings.Cut(a, "=")
		if _, twice := s.command.Args[k]; !ok || twice {
			return misused(cmd, fmt.Errorf("argument %q is not like key=value, or there twice", a))
		}
		s.command.Args[k] = v
	}
	ttl, err := parseDuration(s.ttl)
	if err != nil {
		return misused(cmd, fmt.Errorf("--ttl: %w", err))
	}
	s.command.TTL = ttl.Milliseconds()
	if s.id != "" {
		if s.command.ID, err = device.ParseCommandID(s.id); err != nil {
			return misused(cmd, fmt.Errorf("--id: %w", err))
		}
	}
	switch {
	case s.many() && s.id != "":
		return misused(cmd, errors.New("--id is for one device"))
	case !s.many() && (s.dryRun || s.stopOnFailure):
		return misused(cmd, errors.New("--dry-run and --stop-on-failure are for many devices"))
	case s.rate <= 0:
		return misused(cmd, errors.New("--rate must be above 0"))
	}
	return nil
}

func (s *sending) sendOne(ctx context.Context, cmd *cobra.Command, c *client.Client, id string) error {
	command, err := c.SendCommand(ctx, id, s.command)
	if err == nil && s.wait {
		command, err = await(ctx, c, command)
	}
	if err != nil {
		return err
	}
	switch {
	case s.format != render.FormatTable:
		err = inFields(fillCommand)(cmd.OutOrStdout(), s.format, command)
	case s.wait:
		err = printOutcome(cmd.OutOrStdout(), &command)
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s for %s is %s\n", command.Name, command.Device, command.State)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), command.ID)
	}
	if err == nil && s.wait {
		err = outcomeError(&command)
	}
	return err
}

// await returns the command when it is settled.
func await(ctx context.Context, c *client.Client, command live.CommandStatus) (live.CommandStatus, error) {
	for commands.State(command.State).Open() {
		var err error
		if command, err = c.Command(ctx, command.ID, time.Minute); err != nil {
			return command, err
		}
	}
	return command, nil
}

func printOutcome(w io.Writer, c *live.CommandStatus) error {
	outcome := string(c.State)
	if c.Text != "" {
		outcome += ": " + c.Text
	}
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		outcome += fmt.Sprintf("\n  %s = %s", name, plainText(c.Values[name]))
	}
	_, err := fmt.Fprintln(text.NewWriter(w), outcome)
	return err
}

// plainText is a value from a device: a terminal must not interpret it.
func plainText(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// outcomeError is nil for a command that succeeded.
func outcomeError(c *live.CommandStatus) error {
	switch commands.State(c.State) {
	case commands.Succeeded:
		return nil
	case commands.Unknown:
		return withHint(fmt.Errorf("%s may or may not have carried out %s", c.Device, c.Name), "telemetry-hub command list %s shows it if the device answers late", c.Device)
	}
	return fmt.Errorf("%s did not carry out %s: %s", c.Device, c.Name, c.State)
}
