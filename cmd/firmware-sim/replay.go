package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func newReplay() *cobra.Command {
	var (
		hub   hubFlags
		o     firmwaresim.ReplayOptions
		speed string
	)
	cmd := &cobra.Command{
		Use:   "replay --hub URL --credentials FILE --device ID FILE.csv",
		Short: "Play a CSV file as a device, at the times recorded in it",
		Long: `Play a CSV file as a device. Its first line names the columns; one holds the
times, and each other column of numbers or of true and false becomes a channel.
Separators may be commas, semicolons or tabs.

Every value comes back from the hub equal to what stands in the file:

  true, false             a boolean
  whole numbers, 0 and 1  a 64-bit integer
  decimals                a decimal number, exact, with as many places as the
                          column needs; a float64 if that takes more than 18
                          digits, and for NaN and infinities
  an empty cell           an absent value
  text                    a column of nothing else is left out; a single cell
                          of it is an error

Rows are sent in the order of the file and none is merged or dropped, whether
times repeat or step back. Times without a zone are UTC and are kept to the
microsecond. The file is checked from end to end before anything is sent. Should
the hub restart, the replay goes on where it was. The exit code is 0 only once
the hub has acknowledged every row. Playing a file twice sends it twice.

Times are found by the name of their column (time, timestamp, datetime, date,
ts), or as the first column that reads as one, and their layout on the first
row: RFC 3339, 2006-01-02 15:04:05 and similar, or seconds, milliseconds,
microseconds or nanoseconds since 1970, told apart by their size. Anything else
is declared with --time-layout, either in the way of Go ("01/02/2006 3:04 PM"
stands for month/day/year) or as unix, unix-ms, unix-us or unix-ns.`,
		Example: `  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 office.csv
  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 --speed 60x office.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.File = args[0]
			if o.Speed, err = firmwaresim.ParseSpeed(speed); err != nil {
				return err
			}
			if o.Target, o.Credentials, err = hub.load(); err != nil {
				return err
			}
			o.Logger, o.Progress = newLogger(), firmwaresim.NewProgress(os.Stderr)
			totals, err := firmwaresim.Replay(cmd.Context(), o)
			if totals.Devices > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), totals)
			}
			return err
		},
	}
	hub.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Device, "device", "", "id of the device to play")
	flags.StringVar(&o.TimeColumn, "time-column", "", "name of the column of times (default found)")
	flags.StringVar(&o.TimeLayout, "time-layout", "", "how times are written (default found)")
	flags.StringVar(&speed, "speed", "max", "1x, 60x … of the recorded pace, or max")
	_ = cmd.MarkFlagRequired("device")
	return cmd
}
