// Command firmware-sim plays devices to a telemetry-hub: simulated fleets, recorded data, and proofs of what the hub
// keeps and what it costs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for machines that have no zones of their own

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/device/text"
	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	// The first signal ends cleanly, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	// Devices go on when nobody reads any more what is told of them: without this, writing it would kill the program.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	stderr = text.NewWriter(stderr) // names in files and texts of hubs are not for a terminal to obey
	fmt.Fprintf(stderr, "error: %v\n", err)
	if p, ok := errors.AsType[*firmwaresim.Problem](err); ok {
		fmt.Fprintf(stderr, "hint: %s\n", p.Hint)
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "firmware-sim",
		Short: "Devices for a telemetry-hub: simulated, recorded, and misbehaving on purpose",
		Long: `firmware-sim plays devices to a telemetry-hub.

run and replay connect to a hub that you run. They need credentials, which the
hub makes:

  telemetry-hub device add --count 20 --prefix sim --output sim.csv

verify and bench start a hub of their own from its binary, in a temporary
directory.`,
		Example: `  firmware-sim run --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --devices 20
  firmware-sim replay --hub wss://localhost:8443 --insecure \
    --credentials sim.csv --device sim-0001 office.csv
  firmware-sim verify --hub-binary ./telemetry-hub
  firmware-sim bench --hub-binary ./telemetry-hub --devices 1000`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &firmwaresim.Problem{Err: err, Hint: cmd.CommandPath() + " --help shows how to use it"}
	})
	root.AddCommand(newRun(), newReplay(), newVerify(), newBench(), newCommandDevice())
	return root
}

// hubFlags say which hub to connect to, and as whom.
type hubFlags struct {
	hub, credentials, ca string
	insecure             bool
}

func (f *hubFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.hub, "hub", "", "address of the hub: wss://HOST:PORT")
	flags.StringVar(&f.credentials, "credentials", "", "CSV `FILE` with the columns device,token")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` to trust: DATA-DIR/tls/ca.pem")
	flags.BoolVar(&f.insecure, "insecure", false, "trust whoever answers, and send the tokens")
	_ = cmd.MarkFlagRequired("hub")
	_ = cmd.MarkFlagRequired("credentials")
}

func (f *hubFlags) load() (firmwaresim.Target, []firmwaresim.Credential, error) {
	target, err := firmwaresim.NewTarget(f.hub, f.ca, f.insecure)
	if err != nil {
		return target, nil, err
	}
	creds, err := firmwaresim.ReadCredentials(f.credentials)
	return target, creds, err
}

// newLogger logs what a person should know of; the progress line says the rest.
func newLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
