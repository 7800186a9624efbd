package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

const maxFleet = 100_000 // devices added at once

func newDevice() *cobra.Command {
	return group(&cobra.Command{
		Use:   "device",
		Short: "Register devices and manage their tokens",
		Long: `A device proves itself with a token of 256 random bits. The hub keeps only its
SHA-256, so a token is shown once, when it is made; a lost one is replaced with
"device rotate".`,
	}, newDeviceAdd(), newDeviceList(), newDeviceShow(), newDeviceRotate(), newDeviceRevoke(), newDeviceRemove())
}

func newDeviceAdd() *cobra.Command {
	var (
		add           devices.NewDevice
		labels        []string
		count         int
		prefix, path  string
		hub           hubFlags
		onlyForFleets = []string{"count", "prefix"}
	)
	cmd := &cobra.Command{
		Use:   "add {ID | --count N --prefix P} [--kind K] [--label k=v]... [--output FILE.csv]",
		Short: "Register a device, or a fleet of them",
		Long: `add registers a device and prints its token, which is shown only this once. With
--output, the token goes to a new file instead, readable by its owner only, as
CSV with the columns device,token.

With --count and --prefix it registers a fleet, P-0001, P-0002 and so on: all of
them or none.

The kind is the measurement name of the device's readings, labels become tags of
them.`,
		Example: `  telemetry-hub device add pump-7
  telemetry-hub device add pump-7 --kind pump --label site=north --label floor=2
  telemetry-hub device add --count 500 --prefix meter --output meters.csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			fleet := false
			for _, name := range onlyForFleets {
				fleet = fleet || cmd.Flags().Changed(name)
			}
			switch {
			case !fleet:
				return exactArgs("ID")(cmd, args)
			case len(args) > 0:
				return misused(cmd, errors.New("a device has an ID, a fleet --count and --prefix; both were given"))
			case prefix == "" || count < 1 || count > maxFleet:
				return misused(cmd, fmt.Errorf("a fleet needs --prefix, and --count from 1 to %d", maxFleet))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if add.Labels, err = parseLabels(labels); err != nil {
				return misused(cmd, err)
			}
			list := fleet(add, prefix, count)
			if len(args) == 1 {
				add.ID = args[0]
				list = []devices.NewDevice{add}
			}
			return makeTokens(cmd, &hub, orCreate, path, func(ctx context.Context, c *client.Client) ([]devices.Credential, error) {
				return c.AddDevices(ctx, list)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&add.Kind, "kind", "", `what it is: the measurement name of its readings (default "telemetry")`)
	f.StringArrayVar(&labels, "label", nil, "`k=v`, a tag of its readings; may be repeated")
	f.IntVar(&count, "count", 0, "register a fleet of `N` devices")
	f.StringVar(&prefix, "prefix", "", "what the ids of the fleet begin with")
	outputFlag(cmd, &path)
	hub.add(cmd)
	return cmd
}

func parseLabels(args []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("--label %s is not like k=v", a)
		}
		if _, twice := labels[k]; twice {
			return nil, fmt.Errorf("--label %s was given twice", k)
		}
		labels[k] = v
	}
	return labels, nil
}

// fleet returns count devices like the model, named prefix-0001 and so on.
func fleet(model devices.NewDevice, prefix string, count int) []devices.NewDevice {
	digits := max(4, len(strconv.Itoa(count)))
	list := make([]devices.NewDevice, count)
	for i := range list {
		list[i] = model
		list[i].ID = fmt.Sprintf("%s-%0*d", prefix, digits, i+1)
	}
	return list
}

func newDeviceRotate() *cobra.Command {
	var path string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "rotate ID [--output FILE.csv]",
		Short: "Give a device a new token",
		Long: `rotate makes a new token for a device and prints it, once. The old one keeps
working until a day after the new one's first use, so that the device can be
given the new one without an interruption; a second rotate ends it at once. A
revoked device is admitted again, with the new token only.`,
		Example: `  telemetry-hub device rotate pump-7
  telemetry-hub device rotate pump-7 --output pump-7.csv`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return makeTokens(cmd, &hub, existing, path, func(ctx context.Context, c *client.Client) ([]devices.Credential, error) {
				made, err := c.Rotate(ctx, args[0])
				return []devices.Credential{{Device: made.ID, Token: made.Token}}, err
			})
		},
	}
	outputFlag(cmd, &path)
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(deviceIDs)
	return cmd
}

func outputFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "output", "", "write device,token to this new `file` instead of printing")
	_ = cmd.MarkFlagFilename("output", "csv")
}

// makeTokens calls create and hands its tokens over: to the file at path or, without one, to the standard output. The
// file is made first, as the user who called, and goes again if there is nothing to put into it.
func makeTokens(cmd *cobra.Command, hub *hubFlags, m mode, path string, create func(context.Context, *client.Client) ([]devices.Credential, error)) (err error) {
	var file *os.File
	if path != "" {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return withHint(err, "it is not overwritten, because the tokens in it could not be had again")
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	var creds []devices.Credential
	err = withHub(cmd, hub, m, func(ctx context.Context, c *client.Client) (err error) {
		creds, err = create(ctx, c)
		return err
	})
	if len(creds) == 0 || err != nil {
		if file != nil {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	if file == nil {
		return printTokens(cmd, creds)
	}
	if err := errors.Join(writeTokens(file, creds), file.Sync()); err != nil {
		return withHint(err, "the devices are registered, but not all tokens were written: device rotate makes new ones")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s written to %s\n", render.Plural(len(creds), "token"), path)
	return nil
}

// printTokens prints one token so that a script can take it, and several as CSV.
func printTokens(cmd *cobra.Command, creds []devices.Credential) error {
	if len(creds) > 1 {
		return writeTokens(cmd.OutOrStdout(), creds)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The token of %s, shown only this once:\n", creds[0].Device)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), creds[0].Token)
	return err
}

func writeTokens(w io.Writer, creds []devices.Credential) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"device", "token"}) // an error stays until Flush
	for _, c := range creds {
		_ = out.Write([]string{c.Device, c.Token})
	}
	out.Flush()
	return out.Error()
}

func newDeviceRevoke() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "revoke ID",
		Short: "Shut a device out",
		Long: `revoke makes the tokens of a device invalid and closes its connection. Its
readings stay; "device rotate" admits it again with a new token.`,
		Example: "  telemetry-hub device revoke pump-7",
		Args:    exactArgs("ID"),
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		return args[0] + " is revoked", c.Revoke(ctx, args[0])
	}, deviceIDs)
}

func newDeviceRemove() *cobra.Command {
	var yes bool
	cmd := changing(&cobra.Command{
		Use:   "remove ID [--yes]",
		Short: "Forget a device and its readings",
		Long: `remove forgets a device: its tokens, counters and all its local readings, which
can't be had back. It closes its connection. On a terminal it asks first;
scripts say --yes. "device revoke" shuts a device out and keeps its readings.`,
		Example: `  telemetry-hub device remove pump-7
  telemetry-hub device remove pump-7 --yes`,
		Args: exactArgs("ID"),
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		return args[0] + " is removed", c.Remove(ctx, args[0])
	}, deviceIDs)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	remove := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			if err := confirm(cmd, args[0]); err != nil {
				return err
			}
		}
		return remove(cmd, args)
	}
	return cmd
}

// confirm asks on a terminal whether a device and its readings are to go, and returns an error unless they are.
func confirm(cmd *cobra.Command, id string) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return withHint(fmt.Errorf("all readings of %s would be deleted", id), "say --yes if that is meant; device revoke shuts it out and keeps them")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This deletes %s with all its readings. Type its id to go on: ", id)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != id {
		return errors.New("nothing was removed")
	}
	return nil
}
