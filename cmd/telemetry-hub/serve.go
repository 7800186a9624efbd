package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/dashboard"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --data-dir DIR [--listen HOST:PORT]",
		Short: "Run the hub",
		Long: `serve accepts devices at https://HOST:PORT/v1/device, and shows the dashboard
at https://HOST:PORT, until SIGTERM or Ctrl-C stops it. When it is
ready, it prints one line with its address and the hash of its public key,
which a device can pin. While nobody can log in yet, it also prints a link that
makes the first user, as telemetry-hub user add does.

Without --tls-cert and --tls-key, the hub has a small CA of its own, and renews
the certificate under it by itself; give DIR/tls/ca.pem to the devices. SIGHUP
reads a certificate of yours again.

Settings come from the configuration file (--config, TOML), the environment and
the flags; the later ones win. The environment has the key max_bytes of
[journal] as TELEMETRY_HUB_JOURNAL_MAX_BYTES. All keys are explained in
systemd/telemetry-hub.toml.`,
		Example: `  telemetry-hub serve --data-dir ./data
  telemetry-hub serve --data-dir ./data --listen 127.0.0.1:8443
  telemetry-hub serve --config /etc/telemetry-hub/telemetry-hub.toml
  TELEMETRY_HUB_LIMITS_CONNECTIONS=2000 telemetry-hub serve --data-dir ./data`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags(), path, os.Environ())
			if err != nil {
				return err
			}
			stdout, stderr := newLineQueue(cmd.OutOrStdout()), newLineQueue(cmd.ErrOrStderr())
			defer stderr.close()
			defer stdout.close()
			return serve(cmd.Context(), cfg, stdout, newLogger(stderr, cfg.LogLevel))
		},
	}
	f := cmd.Flags()
	f.String("data-dir", "", "`directory` of everything durable, made if missing (env "+envPrefix+"DATA_DIR)")
	f.String("listen", ":8443", "`HOST:PORT` for devices: no host is IPv4 and IPv6, port 0 a free one")
	f.String("tls-cert", "", "certificate `file` (PEM, with its chain)")
	f.String("tls-key", "", "private key `file` (PEM)")
	influxFlags(f)
	f.String("log-level", "info", "debug, info, warn or error")
	configFlag(cmd, &path)
	_ = cmd.MarkFlagDirname("data-dir")
	return cmd
}

// serve runs the hub until a signal ends it.
func serve(ctx context.Context, cfg *config, stdout io.Writer, log *slog.Logger) error {
	defer outliveReaders()()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP) // even before there is a certificate to reload, it must not kill
	defer signal.Stop(signals)

	s, err := openServer(cfg, log)
	if err != nil {
		return err
	}
	// Opening may take long, and was as safe to kill as everything else. From here on the end is an ordered one.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stop()
		s.handleSignals(ctx, signals)
		return nil
	})
	g.Go(func() error { return s.run(ctx) })
	g.Go(func() error { return s.feedWatchdog(ctx) })
	g.Go(func() error { s.tellStatus(ctx); return nil })
	fmt.Fprintf(stdout, "telemetry-hub ready: https://%s (public key sha256 %s)\n", s.ln.Addr(), s.cert.Info().PublicKey)
	if err := s.printSetup(stdout); err != nil {
		log.Warn("no link to make the first user could be printed", "error", err)
	}
	s.notify("READY=1", "STATUS="+s.status())
	return errors.Join(g.Wait(), s.close())
}

// server is a hub with its files and sockets.
type server struct {
	log       *slog.Logger
	store     *store.Store
	cert      *certificate.Certificate
	feed      *live.Feed
	hub       *hub.Hub
	dashboard *dashboard.Dashboard
	ln        net.Listener
	control   net.Listener
}

// openServer opens the files and binds the sockets. Everything that can fail at the start fails here.
func openServer(cfg *config, log *slog.Logger) (_ *server, err error) {
	s := &server{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := refuseForeignOwner(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := checkListen(cfg.Listen, cfg.DataDir); err != nil {
		return nil, err
	}
	if s.store, err = openStore(cfg, log); err != nil {
		return nil, err
	}
	warnOfOpenDirectory(cfg.DataDir, log)
	if s.ln, err = listen(cfg.Listen); err != nil {
		return nil, err
	}
	if s.cert, err = certificate.Open(certificate.Config{
		DataDir: cfg.DataDir, CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey, Hosts: cfg.hosts(),
		Logger: log, Alarm: s.store.Alarms.Set,
	}); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if s.control, err = socket.Listen(cfg.DataDir); err != nil {
		return nil, err
	}
	version := buildVersion()
	s.feed = live.New(live.Config{Store: s.store, Logger: log, Version: version})
	s.hub = hub.New(hub.Config{
		Store: s.store, Feed: s.feed, Limits: cfg.hubLimits(), Logger: log,
		Other: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.dashboard.Handler().ServeHTTP(w, r) }),
	})
	s.dashboard, err = dashboard.New(dashboard.Config{
		Store: s.store, Hub: s.hub, Feed: s.feed, Certificate: s.cert, Names: cfg.names(), Origins: cfg.origins(), Version: version, Logger: log,
	})
	return s, err
}

// printSetup prints the link that makes the first user, while there is none.
func (s *server) printSetup(stdout io.Writer) error {
	code, err := s.store.Accounts.NewSetupCode()
	if errors.Is(err, accounts.ErrSetupDone) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "nobody can log in yet; make the first user: %s/setup#%s\n", s.pageURL(), code)
	return err
}

// pageURL is where a browser finds the dashboard.
func (s *server) pageURL() string {
	host, port, _ := net.SplitHostPort(s.ln.Addr().String()) // of a TCP listener it is always both
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
		if name, err := os.Hostname(); err == nil && s.cert.Covers(name) { // a kernel takes any bytes for a name
			host = name
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// lockPatience is how long a hub waits for files that are held by one which is ending, or by a command.
const lockPatience = 10 * time.Second

// openStore waits a little for a command, or a hub that is ending, to let go of the files.
func openStore(cfg *config, log *slog.Logger) (*store.Store, error) {
	deadline := time.Now().Add(lockPatience)
	options := cfg.storeOptions(log)
	options.Clock = testClock(os.Getenv(testClockVariable))
	var err error
	if options.Influx, err = cfg.Influx.options(os.Getenv); err != nil {
		return nil, err
	}
	for {
		st, err := store.Open(options)
		if err == nil {
			if options.Influx == nil {
				err = st.Export.Forget()
			}
			if err != nil {
				return nil, errors.Join(err, st.Close())
			}
			return st, nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return nil, hintReach(fmt.Errorf("open the store: %w", err))
		}
		if c, dialErr := socket.Dial(context.Background(), cfg.DataDir); dialErr == nil {
			_ = c.Close()
			return nil, withHint(fmt.Errorf("a hub runs on %s already", cfg.DataDir), "telemetry-hub status --data-dir %s shows what it does", cfg.DataDir)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", cfg.DataDir, err)
		}
	}
}

// run serves until ctx ends. The hub ends first, so that the store commits what came in last, and devices hear of it.
func (s *server) run(ctx context.Context) error {
	storeCtx, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.store.Run(storeCtx) })
	g.Go(func() error { return socket.Serve(ctx, s.control, s.socketHandler()) })
	g.Go(func() error { return s.feed.Run(ctx) })
	g.Go(func() error { return s.dashboard.Run(ctx) })
	g.Go(func() error { return s.cert.Run(ctx) })
	g.Go(func() error {
		defer stopStore()
		return s.hub.Run(ctx, s.ln, s.cert.TLSConfig())
	})
	return g.Wait()
}

// socketHandler answers on the Unix socket.
func (s *server) socketHandler() http.Handler {
	mux := http.NewServeMux()
	s.dashboard.API().Register(mux, api.OnSocket)
	return mux
}

// close closes what run has not: it serves a server that was never run, too.
func (s *server) close() error {
	var errs []error
	for _, ln := range []net.Listener{s.ln, s.control} {
		if ln == nil {
			continue
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
