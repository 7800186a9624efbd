package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func newVerify() *cobra.Command {
	var o firmwaresim.VerifyOptions
	var commands, clock bool
	cmd := &cobra.Command{
		Use:   "verify --hub-binary PATH",
		Short: "Kill a hub again and again, then prove that nothing was lost",
		Long: `Run a hub as a child process in a temporary directory and stream to it, while it
is ended with kill -9 at random moments and started again. Meanwhile connections
are cut, frames are sent twice and sent broken, small buffers overflow, and
devices restart with the buffer they have on disk.

Then account for every frame of every device: created = stored + rejected +
lost. Everything the hub stored is read back and every value compared with the
one that was sent; a frame that was acknowledged must be there, nothing else may
be, and nothing twice. A clean restart must not change the answer.

With --influx, the hub exports to an InfluxDB of its own, which is killed as well.
In the end a Flux count and sum of every channel of every device have to agree
with what the hub holds.

With --commands, it is about commands instead: they are sent through the command
line while hub and devices, each a process of its own, are ended with kill -9.
Every command has to end once, nothing that is not idempotent may be carried out
twice, nothing after its deadline, and what the devices have noted themselves
has to agree with what the hub says.

With --clock, it is about the hub's clock, which is set again and again: to
1970, ten years forward and back, and right, also while the hub is dead. Devices
have a right clock, a wrong one, only the time since their boot, or nothing at
all. The hub keeps nothing for longer than 30 days, and yet nothing may be
missing; every time has to be right by the clock that the hub had, or be marked;
and a minute after the clock is right, nothing may look stale.

Prints the table, and exits with 1 unless everything agrees. The same seed sends
the same and kills at the same times.`,
		Example: `  go build -o telemetry-hub ./cmd/telemetry-hub
  firmware-sim verify --hub-binary ./telemetry-hub --devices 100 --kill-every 2s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = firmwaresim.NewProgress(os.Stderr)
			if commands {
				if !cmd.Flags().Changed("devices") {
					o.Devices = commandDevices
				}
				return verifyCommands(cmd, o)
			}
			if clock {
				return verifyClock(cmd, o)
			}
			report, err := firmwaresim.Verify(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), report)
			if !report.Agrees() {
				return errors.New("the counts of the hub and of the devices do not agree")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.HubBinary, "hub-binary", "", "the telemetry-hub program to verify")
	flags.IntVar(&o.Devices, "devices", 50, "how many devices")
	flags.DurationVar(&o.Duration, "duration", time.Minute, "how long to stream and kill")
	flags.DurationVar(&o.KillEvery, "kill-every", 3*time.Second, "mean time between two kills")
	flags.Uint64Var(&o.Seed, "seed", 1, "decides what is sent and when to kill")
	flags.StringVar(&o.Influxd, "influx", "", "`PROGRAM` influxd 1.8: export to one, kill it too, and compare")
	flags.BoolVar(&commands, "commands", false, "verify commands; 8 devices unless said otherwise")
	flags.BoolVar(&clock, "clock", false, "verify what the hub does when its clock is set")
	cmd.MarkFlagsMutuallyExclusive("clock", "commands", "influx")
	flags.StringVar(&o.Keep, "keep", "", "`DIR` to keep the files in (default only on failure)")
	_ = cmd.MarkFlagRequired("hub-binary")
	return cmd
}

// commandDevices is how many devices a verification of commands has: each is a process.
const commandDevices = 8

func verifyCommands(cmd *cobra.Command, o firmwaresim.VerifyOptions) error {
	report, err := firmwaresim.VerifyCommands(cmd.Context(), o)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), report)
	if !report.Agrees() {
		return errors.New("the hub and the devices do not agree about commands")
	}
	return nil
}

func verifyClock(cmd *cobra.Command, o firmwaresim.VerifyOptions) error {
	report, err := firmwaresim.VerifyClock(cmd.Context(), o)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), report)
	if !report.Agrees() {
		return errors.New("the hub does not cope with a clock that is set")
	}
	return nil
}

// newCommandDevice is how a verification of commands starts its devices.
func newCommandDevice() *cobra.Command {
	return &cobra.Command{
		Use:    firmwaresim.CommandDevice + " FILE",
		Short:  "A device of verify --commands",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return firmwaresim.RunCommandDevice(cmd.Context(), args[0])
		},
	}
}
