package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func newRun() *cobra.Command {
	var (
		hub hubFlags
		o   firmwaresim.RunOptions
	)
	cmd := &cobra.Command{
		Use:   "run --hub URL --credentials FILE --devices N",
		Short: "Run a fleet of simulated devices",
		Long: `Run the first N devices of the credentials file until the duration is over, or
until Ctrl-C. What is still on its way then gets 15 s to be acknowledged. The
exit code is 0 only if every frame was.

Profiles, and the rate that suits each:

` + firmwaresim.DescribeProfiles() + `
The same seed gives the same values. Unacknowledged frames are held in memory,
1 MiB per device: they survive a restart of the hub, not one of firmware-sim.`,
		Example: `  firmware-sim run --hub wss://localhost:8443 --ca data/tls/ca.pem \
    --credentials sim.csv --devices 20 --profile office
  firmware-sim run --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --devices 500 --rate 2 --duration 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Target, o.Credentials, err = hub.load(); err != nil {
				return err
			}
			o.Logger, o.Progress = newLogger(), firmwaresim.NewProgress(os.Stderr)
			totals, err := firmwaresim.Run(cmd.Context(), o)
			if totals.Devices > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), totals)
			}
			return err
		},
	}
	hub.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&o.Devices, "devices", 1, "how many devices, the first of the file")
	flags.Float64Var(&o.Rate, "rate", 0, "frames per second and device (default see above)")
	flags.StringVar(&o.Profile, "profile", firmwaresim.MixedProfile, "what the devices are")
	flags.DurationVar(&o.Duration, "duration", 0, "how long, as in 90s (default until Ctrl-C)")
	flags.Uint64Var(&o.Seed, "seed", 1, "what the random values start from")
	return cmd
}
