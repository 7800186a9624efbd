// Command telemetry-hub receives, keeps and gives back the readings of IoT devices.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

// version is set by the linker in release builds (-X main.version=…).
var version = ""

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	stdout, stderr = render.Terminal(stdout), render.Terminal(stderr)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	printError(stderr, err)
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "telemetry-hub",
		Short: "A hub for IoT devices on an edge gateway",
		Long: `telemetry-hub receives the readings of IoT devices over WebSocket, makes every
frame durable before it acknowledges it, keeps a local history and gives it
back.

Exit codes:
  0  it is done
  1  it failed, or was not done as a whole: readings are missing, a device did
     not carry out its command
  2  the command line can't be understood
  3  there is no such device, user, key, command or the like
  4  the hub or its data can't be reached
  5  the hub refuses: it is not allowed, not possible now, or not valid`,
		Example: `  telemetry-hub demo                        see it work, with simulated devices
  telemetry-hub serve --data-dir data       run a hub; in another terminal:
  export TELEMETRY_HUB_DATA_DIR=data
  telemetry-hub device add pump-7           register a device, print its token
  telemetry-hub readings pump-7 --since 1h
  telemetry-hub status`,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() { // a flag is unknown because the command before it is
			return cmp.Or(noSuchCommand(cmd, cmd.Flags().Args()), misused(cmd, err))
		}
		return misused(cmd, err)
	})
	root.AddCommand(newServe(), newDemo(), newDevice(), newUser(), newAPIKey(), newReadings(), newStatus(), newDeadLetters(), newInflux(),
		newCommand(), newSetting(), newAudit(), newCertificate())
	refuseRepeats(root)
	return root
}

// group makes a command that only holds others.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.Args = noSuchCommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(subcommands...)
	return cmd
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2 // letters to be changed
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return &codedError{withHint(err, "did you mean %s?", strings.Join(near, " or ")), exitUsage}
	}
	return misused(cmd, err)
}

// exactArgs is cobra.ExactArgs with the arguments called by their names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return misused(cmd, fmt.Errorf("%s is missing", names[len(args)]))
		case len(args) > len(names):
			return misused(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}

// buildVersion is the linker's version, or what the go command recorded of the source.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
