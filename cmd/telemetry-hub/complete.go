package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// names lists what a word of a command line may be, for the arguments that stand before it.
type names func(ctx context.Context, c *client.Client, args []string) ([]string, error)

// complete offers names for the arguments of a command, for each position another list. It asks a running hub only and never
// opens files: completion must not get in the way.
func (h *hubFlags) complete(positions ...names) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(positions) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return h.ask(positions[len(args)], args)
	}
}

// completeCommand offers a device, its commands, and the arguments of the command.
func (h *hubFlags) completeCommand(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 {
		return h.ask(argumentNames, args)
	}
	return h.complete(deviceIDs, schemaNames(commandNames))(cmd, args, word)
}

// completeFlag offers names for the value of a flag.
func (h *hubFlags) completeFlag(cmd *cobra.Command, flag string, list names) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return h.ask(list, args)
	})
}

func (h *hubFlags) ask(list names, args []string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var c *client.Client
	var err error
	if h.url != "" {
		c, err = h.remote()
	} else if dir, dirErr := h.dir(); dirErr != nil {
		err = dirErr
	} else {
		c, err = client.Dial(ctx, dir)
	}
	if err != nil {
		return nil, none
	}
	defer c.Close()
	found, _ := list(ctx, c, args) // on an error there are none to offer
	if slices.ContainsFunc(found, func(s string) bool { return strings.HasSuffix(s, "=") }) {
		return found, none | cobra.ShellCompDirectiveNoSpace
	}
	return found, none
}

func deviceIDs(ctx context.Context, c *client.Client, _ []string) (ids []string, err error) {
	devices, err := c.Devices(ctx)
	for _, d := range devices {
		ids = append(ids, d.ID)
	}
	return ids, err
}

func userNames(ctx context.Context, c *client.Client, _ []string) (names []string, err error) {
	users, err := c.Users(ctx)
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names, err
}

func keyNames(ctx context.Context, c *client.Client, _ []string) (names []string, err error) {
	keys, err := c.APIKeys(ctx)
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names, err
}

// schemaNames lists what pick takes out of the schema of the device that is the first argument.
func schemaNames(pick func(*live.Schema) []string) names {
	return func(ctx context.Context, c *client.Client, args []string) ([]string, error) {
		if len(args) == 0 {
			return nil, nil
		}
		d, err := c.Device(ctx, args[0])
		if err != nil || d.Schema == nil {
			return nil, err
		}
		return pick(d.Schema), nil
	}
}

func commandNames(s *live.Schema) (names []string) {
	for _, c := range s.Commands {
		names = append(names, c.Name)
	}
	return names
}

// argumentNames lists the arguments of the command that are not there yet.
func argumentNames(ctx context.Context, c *client.Client, args []string) (names []string, err error) {
	d, err := c.Device(ctx, args[0])
	if err != nil || d.Schema == nil {
		return nil, err
	}
	for _, command := range d.Schema.Commands {
		for _, a := range command.Args {
			given := slices.ContainsFunc(args[2:], func(s string) bool { return strings.HasPrefix(s, a.Name+"=") })
			if command.Name == args[1] && !given {
				names = append(names, a.Name+"=")
			}
		}
	}
	return names, nil
}

func channelNames(s *live.Schema) (names []string) {
	for _, ch := range s.Channels {
		names = append(names, ch.Name)
	}
	return names
}

// writableNames lists the channels that can be given a desired value, each followed by behind.
func writableNames(behind string) func(*live.Schema) []string {
	return func(s *live.Schema) (names []string) {
		for _, ch := range s.Channels {
			if ch.Writable {
				names = append(names, ch.Name+behind)
			}
		}
		return names
	}
}

// commandIDs lists the newest commands in these states, all for none, with what they are.
func commandIDs(states ...string) names {
	return func(ctx context.Context, c *client.Client, _ []string) (ids []string, err error) {
		list, err := c.Commands(ctx, client.Filter{States: states, Limit: 100})
		for i := range list {
			ids = append(ids, fmt.Sprintf("%s\t%s for %s, %s", list[i].ID, list[i].Name, list[i].Device, list[i].State))
		}
		return ids, err
	}
}
