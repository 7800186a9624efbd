package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

const (
	demoReport = 2 * time.Second  // between two lines
	demoLately = 10 * time.Second // no device that is connected is silent for longer
)

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See it work: a hub and simulated devices in one process",
		Long: `demo runs a hub on a free port of 127.0.0.1 with a temporary data directory, and
lets devices send to it: one replays real readings of an office, the others are
simulated. It prints a link that opens the dashboard, and commands to look at
them from another terminal. Ctrl-C ends it and removes the directory.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			stdout, stderr := newLineQueue(cmd.OutOrStdout()), newLineQueue(cmd.ErrOrStderr())
			defer stderr.close()
			defer stdout.close()
			return demo(cmd.Context(), stdout, newLogger(stderr, slog.LevelWarn))
		},
	}
}

func demo(ctx context.Context, stdout io.Writer, log *slog.Logger) (err error) {
	defer outliveReaders()()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills

	dir, err := os.MkdirTemp("", "telemetry-hub-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := openServer(&config{DataDir: dir, Listen: "127.0.0.1:0"}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	credentials, err := registerDemo(s.store)
	if err != nil {
		return err
	}
	url := "https://" + s.ln.Addr().String()
	target, err := firmwaresim.NewTarget(url, s.cert.Info().TrustFile, false)
	if err != nil {
		return err
	}
	access, err := s.demoAccess()
	if err != nil {
		return err
	}
	introduceDemo(stdout, url, dir, access)

	// The devices leave before the hub does.
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHub()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.run(hubCtx) })
	g.Go(func() error {
		defer stopHub()
		return firmwaresim.Demo(ctx, target.URL, target.TLS, credentials, log)
	})
	g.Go(func() error { return s.reportDemo(ctx, stdout) })
	err = g.Wait()
	fmt.Fprintln(stdout, "\nThe demo is over.")
	return err
}

func registerDemo(st *store.Store) ([]firmwaresim.Credential, error) {
	var list []devices.NewDevice
	for _, d := range firmwaresim.DemoDevices() {
		list = append(list, devices.NewDevice{ID: d.ID, Kind: d.Kind, Labels: map[string]string{"site": "demo"}})
	}
	made, err := st.Devices.Add(list)
	var credentials []firmwaresim.Credential
	for _, c := range made {
		credentials = append(credentials, firmwaresim.Credential{Device: c.Device, Token: c.Token})
	}
	return credentials, err
}

// demoAccess says how to open the dashboard: with a link that logs in, once, and from then on with a name and a password.
func (s *server) demoAccess() (string, error) {
	const user = "demo"
	password := rand.Text()[:12] // 60 bits, short enough to type
	if err := s.store.Accounts.AddUser(user, password, accounts.RoleAdmin); err != nil {
		return "", err
	}
	code, err := s.store.Accounts.NewLoginCode(user)
	return fmt.Sprintf("%s/login#%s\n\nThe link logs in once; after that, and in other browsers, log in as %s with the password %s",
		s.pageURL(), code, user, password), err
}

func introduceDemo(w io.Writer, url, dir, access string) {
	fmt.Fprintf(w, "A hub runs on %s with its data in %s. Its devices:\n\n", url, dir)
	for _, d := range firmwaresim.DemoDevices() {
		fmt.Fprintf(w, "  %-8s %s\n", d.ID, d.About)
	}
	fmt.Fprintf(w, "\nTo look at them in a browser, which will warn of the certificate that the hub made itself:\n\n  %s\n", access)
	fmt.Fprintf(w, "\nOr, in another terminal:\n\n  export %sDATA_DIR=%s\n", envPrefix, dir)
	self := ownCommand()
	for _, args := range []string{"readings office --since 1m", "device list", "device show van", "status"} {
		fmt.Fprintf(w, "  %s %s\n", self, args)
	}
	fmt.Fprint(w, "\nCtrl-C ends the demo and removes the directory.\n\n")
}

// ownCommand is what to type to run this program again.
func ownCommand() string {
	path, err := os.Executable()
	if err != nil {
		return "telemetry-hub"
	}
	if strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/telemetry-hub" // the path is that of a temporary file
	}
	if found, err := exec.LookPath("telemetry-hub"); err == nil && found == path {
		return "telemetry-hub"
	}
	return path
}

// reportDemo prints a line now and then: what has arrived in all, and the newest reading of one device after the other.
func (s *server) reportDemo(ctx context.Context, w io.Writer) error {
	tick := time.NewTicker(demoReport)
	defer tick.Stop()
	devices := firmwaresim.DemoDevices()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			st := s.store.Status()
			id := devices[i%len(devices)].ID
			fmt.Fprintf(w, "%s  %d/%d connected  %s frames  %s readings  %s\n", now.Format(time.TimeOnly),
				s.hub.Connected(), st.Devices, render.Grouped(st.Frames), render.Grouped(st.Readings), s.newest(ctx, id, now))
		}
	}
}

// newest describes the newest sample of a device, or says that there is none.
func (s *server) newest(ctx context.Context, id string, now time.Time) string {
	var sample []history.Reading
	for r, err := range s.store.Readings(ctx, history.Query{Device: id, From: now.Add(-demoLately)}) {
		if err != nil {
			return id + ": " + err.Error()
		}
		if len(sample) > 0 && !sample[0].Time.Equal(r.Time) {
			sample = sample[:0]
		}
		sample = append(sample, r)
	}
	if len(sample) == 0 {
		return id + ": silent lately"
	}
	text := id + ":"
	for _, r := range sample[:min(len(sample), 2)] {
		text += fmt.Sprintf(" %s %s%s", r.Channel.Name, r.Value.AppendText(nil), strings.TrimSuffix(" "+r.Channel.Unit, " "))
	}
	return text
}
