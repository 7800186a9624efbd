package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

func newCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "command",
		Short: "Send commands to devices and see what became of them",
		Long: `A command is kept by the hub until its device has answered or its time is over:

  queued      stored; the device is not connected, or busy with earlier ones
  sent        given to the device
  succeeded, failed, rejected    what the device answered
  expired     its time was over before it was begun: it never will be
  unknown     sent, and not answered in time: it may have been carried out; a
              late answer still settles it
  cancelled   taken back, or superseded by a newer one, before it was sent

"device show" lists the commands of a device.`,
	}, newCommandSend(), newCommandList(), newCommandShow(), newCommandCancel())
}

func newCommandList() *cobra.Command {
	var f client.Filter
	var all []string
	for _, state := range commands.States() {
		all = append(all, string(state))
	}
	cmd := printing(&cobra.Command{
		Use:   "list [DEVICE] [--state S]... [--since 1h] [--limit N] [--format F]",
		Short: "List commands, the newest first",
		Example: `  telemetry-hub command list
  telemetry-hub command list room-1 --state failed --state unknown --since 1d`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exactArgs("DEVICE")(cmd, args)
			}
			for _, name := range f.States {
				if !slices.Contains(all, name) {
					return misused(cmd, fmt.Errorf("there is no state %q", name))
				}
			}
			return nil
		},
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, args []string) ([]live.CommandStatus, error) {
		if len(args) == 1 {
			f.Device = args[0]
		}
		return c.Commands(ctx, f)
	}, inColumns(commandColumns, "There are no such commands."), deviceIDs)
	cmd.Flags().StringArrayVar(&f.States, "state", nil, "only those in this `state`; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp))
	filterFlags(cmd, &f)
	return cmd
}

var commandColumns = []render.Column[live.CommandStatus]{
	{Name: "created", Cell: func(c *live.CommandStatus) any { return render.Age(c.Created.Time()) }},
	{Name: "device", Cell: func(c *live.CommandStatus) any { return c.Device }},
	{Name: "command", Cell: func(c *live.CommandStatus) any { return c.Name + argsText(c.Args) }},
	{Name: "state", Cell: func(c *live.CommandStatus) any { return c.State }},
	{Name: "by", Cell: func(c *live.CommandStatus) any { return c.By }},
	{Name: "id", Cell: func(c *live.CommandStatus) any { return c.ID }},
	{Name: "text", Cell: func(c *live.CommandStatus) any { return c.Text }},
}

func argsText(args map[string]any) (text string) {
	for _, name := range slices.Sorted(maps.Keys(args)) {
		text += " " + name + "=" + plainText(args[name])
	}
	return text
}

// commandIDArg takes the id of a command.
func commandIDArg(cmd *cobra.Command, args []string) error {
	err := exactArgs("ID")(cmd, args)
	if err == nil {
		if _, err = device.ParseCommandID(args[0]); err != nil {
			err = misused(cmd, err)
		}
	}
	return err
}

func newCommandShow() *cobra.Command {
	return printing(&cobra.Command{
		Use:     "show ID [--format F]",
		Short:   "Show a command, what came of it, and when",
		Example: "  telemetry-hub command show 0193f05e-7a10-7c2b-9d41-3e88510c6faa",
		Args:    commandIDArg,
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, args []string) (live.CommandStatus, error) {
		return c.Command(ctx, args[0], 0)
	}, inFields(fillCommand), commandIDs())
}

func fillCommand(t *render.Table, c *live.CommandStatus) {
	t.Field("id", "%s", c.ID)
	t.Field("device", "%s", c.Device)
	t.Field("command", "%s%s", c.Name, argsText(c.Args))
	t.Field("state", "%s since %s", c.State, render.Stamp(c.Changed.Time()))
	t.Text("text", c.Text)
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		t.Field("", "%s = %s", name, plainText(c.Values[name]))
	}
	t.Field("by", "%s, %s", c.By, c.From)
	t.Field("created", "%s", render.Stamp(c.Created.Time()))
	t.Field("deadline", "%s", render.Stamp(c.Deadline.Time()))
	t.Field("sent", "%s", render.Stamp(c.Sent.Time()))
}

func newCommandCancel() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "cancel ID",
		Short:   "Take back a command that is still queued",
		Example: "  telemetry-hub command cancel 0193f05e-7a10-7c2b-9d41-3e88510c6faa",
		Args:    commandIDArg,
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		command, err := c.CancelCommand(ctx, args[0])
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s for %s is cancelled", command.Name, command.Device), nil
	}, commandIDs(string(commands.Queued)))
}
