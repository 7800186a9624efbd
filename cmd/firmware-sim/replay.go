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
times, and each other column becomes a channel.

How the file is read is found in the file, and said before anything is sent:
encoding, separator, decimal sign, where the times are and how they are written,
their zone, the first and the last, and what each column is. What is not certain
is an error that names the flag which decides it. Nothing is left out in
silence, and a file means the same on every machine.

Every value comes back from the hub equal to what stands in the file:

  true, false             a boolean
  whole numbers, 0 and 1  a 64-bit integer
  decimals                a decimal number, exact, with as many places as the
                          column needs; a float64 if that takes more than 18
                          digits, and for NaN and infinities
  21.5 °C, 40 %           a number with a unit, if all of the column have it
  an empty cell           an absent value, as is what --missing names
  text                    a text, in a column of nothing else

Decimals may stand behind a point or a comma; the other sign, spaces and
apostrophes may stand between thousands.

Times are found by the name of their column (time, timestamp, datetime, date,
ts …), or as the only column that reads as one: RFC 3339, 2006-01-02 15:04:05
and similar, 20060102150405, serial days of spreadsheets, or seconds,
milliseconds, microseconds or nanoseconds since 1970. A column of days and one
of hours belong together. Anything else is declared with --time-layout, either
in the way of Go ("01/02/2006 3:04 PM" stands for month/day/year) or as unix,
unix-ms, unix-us, unix-ns, excel or excel-1904. Times without a zone are UTC
unless --zone says otherwise, and are kept to the microsecond. A leap second,
:60, is the second after it.

Rows are sent in the order of the file and none is merged or dropped, whether
times repeat or step back. The file is checked from end to end before anything
is sent. Should the hub restart, the replay goes on where it was. The exit code
is 0 only once the hub has acknowledged every row. Playing a file twice sends it
twice.`,
		Example: `  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 office.csv
  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 --speed 60x office.csv
  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 --zone Europe/Berlin \
    --time-column Datum --time-column Uhrzeit --skip Bemerkung heizung.csv`,
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
	flags.StringArrayVar(&o.Table.TimeColumns, "time-column", nil, "`COLUMN` of times; twice for days and hours (default found)")
	flags.StringVar(&o.Table.TimeLayout, "time-layout", "", "how times are written (default found)")
	flags.StringVar(&o.Table.Zone, "zone", "", "of times without one: Europe/Berlin, +02:00 (default UTC)")
	flags.StringVar(&o.Table.Encoding, "encoding", "", "utf-8, utf-16le, utf-16be, windows-1252 or euc-kr (default found)")
	flags.StringVar(&o.Table.Separator, "separator", "", "between columns: a character or tab (default found)")
	flags.StringVar(&o.Table.Decimal, "decimal", "", "the sign before decimals: . or , (default found)")
	flags.StringArrayVar(&o.Table.Missing, "missing", nil, "`TEXT` that stands for no value, like n/a; may be repeated")
	flags.StringArrayVar(&o.Table.Text, "text", nil, "`COLUMN` of texts, whatever they look like; may be repeated")
	flags.StringArrayVar(&o.Table.Skip, "skip", nil, "`COLUMN` to leave out; may be repeated")
	flags.StringVar(&speed, "speed", "max", "1x, 60x … of the recorded pace, or max")
	_ = cmd.MarkFlagRequired("device")
	return cmd
}
