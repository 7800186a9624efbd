package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func newBench() *cobra.Command {
	var (
		o      firmwaresim.BenchOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "bench --hub-binary PATH",
		Short: "Measure what a frame costs a hub: CPU, latency, memory, disk",
		Long: `Run a hub as a child process in a temporary directory, connect the devices over
TLS, and let each send frames of one sample of three channels at a steady rate,
their phases spread evenly. When all are connected and have warmed up for 3 s,
measure for the duration:

  frames and readings per second
  the hub's CPU time per frame, user and system, as the system counts it
  the time from a frame's transmission to its acknowledgement, which includes
  the hub's commit window
  the hub's resident memory
  bytes written to disk per byte of frame, as the system counts them; for that
  TMPDIR has to be on a real disk

Exits with 1 unless every frame was acknowledged. Linux only: the figures come
from /proc.`,
		Example: `  firmware-sim bench --hub-binary ./telemetry-hub --devices 1000 --rate 2
  firmware-sim bench --hub-binary ./telemetry-hub --devices 200 --rate 50 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = firmwaresim.NewProgress(os.Stderr)
			result, err := firmwaresim.Bench(cmd.Context(), o)
			if result == nil {
				return err
			}
			return errors.Join(printResult(cmd.OutOrStdout(), result, asJSON), err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.HubBinary, "hub-binary", "", "the telemetry-hub program to measure")
	flags.IntVar(&o.Devices, "devices", 1000, "how many devices")
	flags.Float64Var(&o.Rate, "rate", 2, "frames per second and device")
	flags.DurationVar(&o.Duration, "duration", 30*time.Second, "how long to measure")
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
