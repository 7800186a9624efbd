package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func newBench() *cobra.Command {
	var (
		o      firmwaresim.BenchOptions
		rate   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "bench --hub-binary PATH",
		Short: "Measure what a frame costs a hub: CPU, latency, memory, disk",
		Long: `Run a hub as a child process in a temporary directory, on a processor of its
own, connect the devices over TLS, and let each send frames of 64 bytes with 8
readings: at a steady rate, their phases spread evenly, or, with --rate max, the
next ones as soon as others are acknowledged, --window at a time. After 2 s of
warming up, measure for the duration:

  the hub's CPU time per frame, user and system, as the system counts it, until
  its history has read every frame
  frames acknowledged per second
  the time from a frame's transmission to its acknowledgement, which includes
  the hub's commit window
  the hub's resident memory
  bytes written to disk per byte of frame, as the system counts them; for that
  TMPDIR has to be on a real disk

Each round has a hub and a directory of its own; printed are the median of the
rounds, the least and the most. With --against, rounds of another hub come in
between, and the ratios are those of one round to the other's next to it. They
are right on a machine that has other things to do, too, where the figures
themselves are not.

Exits with 1 unless every frame was acknowledged. Linux only: the figures come
from /proc.`,
		Example: `  firmware-sim bench --hub-binary ./telemetry-hub --devices 1000 --rate 2
  firmware-sim bench --hub-binary ./telemetry-hub --against ./telemetry-hub.old \
    --devices 1000 --rate max --window 16 --rounds 5 --duration 10s
  firmware-sim bench --hub-binary ./telemetry-hub --devices 200 --rate 10 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if rate != "max" {
				if o.Rate, err = strconv.ParseFloat(rate, 64); err != nil || !(o.Rate > 0) {
					return &firmwaresim.Problem{Err: fmt.Errorf("rate %q", rate), Hint: "frames per second and device, or max"}
				}
				if cmd.Flags().Changed("window") {
					return &firmwaresim.Problem{Err: errors.New("--window is for --rate max"), Hint: "leave one of them out"}
				}
			}
			o.Progress = firmwaresim.NewProgress(os.Stderr)
			result, err := firmwaresim.Bench(cmd.Context(), o)
			if err != nil {
				return err
			}
			return printResult(cmd.OutOrStdout(), result, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.HubBinary, "hub-binary", "", "the telemetry-hub program to measure")
	flags.StringVar(&o.Against, "against", "", "another telemetry-hub `PROGRAM` to compare it with")
	flags.IntVar(&o.Devices, "devices", 1000, "how many devices")
	flags.StringVar(&rate, "rate", "2", "frames per second and device, or max")
	flags.IntVar(&o.Window, "window", 16, "frames in flight of each device, with --rate max")
	flags.IntVar(&o.Rounds, "rounds", 1, "how often to measure")
	flags.DurationVar(&o.Duration, "duration", 30*time.Second, "how long to measure in a round")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("hub-binary")
	cmd.AddCommand(newReconnect())
	return cmd
}

func newReconnect() *cobra.Command {
	var (
		o      firmwaresim.ReconnectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "reconnect --hub-binary PATH",
		Short: "Measure how long a fleet takes to return to a hub that was killed",
		Long: `Run a hub with its default settings as a child process, connect the devices
over TLS, kill the hub with SIGKILL, start it again at once, and measure how
long the devices take to be welcome again. They back off as PROTOCOL.md says,
and all have one address, as behind a router.

Exits with 1 if it takes longer than --within, or if not every frame was
acknowledged at the end. Linux only: the figures come from /proc.`,
		Example: `  firmware-sim bench reconnect --hub-binary ./telemetry-hub --devices 2000
  firmware-sim bench reconnect --hub-binary ./telemetry-hub --devices 5000 --within 30s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = firmwaresim.NewProgress(os.Stderr)
			result, err := firmwaresim.Reconnect(cmd.Context(), o)
			if result == nil {
				return err
			}
			return errors.Join(printResult(cmd.OutOrStdout(), result, asJSON), err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.HubBinary, "hub-binary", "", "the telemetry-hub program to measure")
	flags.IntVar(&o.Devices, "devices", 2000, "how many devices")
	flags.DurationVar(&o.Within, "within", 12*time.Second, "how long they may take")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("hub-binary")
	return cmd
}

// printResult prints a measurement.
func printResult(w io.Writer, result fmt.Stringer, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprint(w, result)
		return err
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(result)
}
