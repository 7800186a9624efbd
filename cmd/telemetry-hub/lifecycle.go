package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

// outliveReaders keeps a program that serves others alive when whoever reads its output goes away, as journald does for a
// restart: writing then fails, as to any other file, while Go would have SIGPIPE kill a program that writes to standard output
// or error. It is not ignored, because programs that this one starts would ignore it, too.
func outliveReaders() (back func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// handleSignals reloads and stops the hub as signals ask.
func (s *server) handleSignals(ctx context.Context, signals chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				s.reload()
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			s.notify(daemon.SdNotifyStopping, "STATUS=Stopping")
			signal.Stop(signals) // a second one kills: nothing acknowledged is lost by it
			return
		}
	}
}

// reload reads the certificate again; connections that are open keep theirs.
func (s *server) reload() {
	s.notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	status := "STATUS=" + s.status()
	if err := s.cert.Reload(); err != nil {
		status = "STATUS=Reload failed: " + err.Error()
	} else {
		s.log.Info("read the certificate again", "sha256", s.cert.Info().Fingerprint)
	}
	// Without it, systemctl reload would wait for ever, so it comes after a failure too.
	s.notify(daemon.SdNotifyReady, status)
}

// feedWatchdog tells systemd that the hub is alive as long as the committer makes progress.
func (s *server) feedWatchdog(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("no watchdog: its interval in the environment can't be read", "error", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for seen := s.store.Ledger.Progress(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		progress := s.store.Ledger.Progress()
		if progress == seen {
			s.log.Error("the committer stands still; systemd will restart the hub if it goes on", "for", interval/2)
			continue
		}
		seen = progress
		s.notify(daemon.SdNotifyWatchdog)
	}
}

// statusEvery is how often the text that systemctl status shows may change.
const statusEvery = 2 * time.Second

// tellStatus keeps the text that systemctl status shows true until ctx ends.
func (s *server) tellStatus(ctx context.Context) {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for shown := s.status(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if text := s.status(); text != shown {
			s.notify("STATUS=" + text)
			shown = text
		}
	}
}

// status is what the hub does, in a line.
func (s *server) status() string {
	text := "Waiting for devices on " + s.ln.Addr().String()
	if n := s.hub.Connected(); n > 0 {
		text = render.Plural(n, "device") + " connected"
	}
	if n := len(s.store.Alarms.All()); n > 0 {
		text += ", " + render.Plural(n, "alarm") + ": see telemetry-hub status"
	}
	return text
}

// notify sends one datagram of assignments to systemd, if it started the hub.
func (s *server) notify(assignments ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		s.log.Warn("systemd could not be notified", "error", err)
	}
}
