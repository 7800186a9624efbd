package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
)

// systemd plays systemd's part: it receives what a service says of itself.
type systemd struct {
	conn *net.UnixConn
	env  string // tells a service where
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &systemd{conn: conn, env: "NOTIFY_SOCKET=" + path}
}

// next returns the assignments of the next datagram that has more than a STATUS, which may come at any time.
func (s *systemd) next(t *testing.T) map[string]string {
	t.Helper()
	for {
		said := s.read(t)
		if _, ok := said["STATUS"]; !ok || len(said) > 1 {
			return said
		}
	}
}

// status waits until STATUS has this text in it.
func (s *systemd) status(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(s.read(t)["STATUS"], text) {
	}
}

func (s *systemd) read(t *testing.T) map[string]string {
	t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := s.conn.Read(buf)
	if err != nil {
		t.Fatalf("nothing was said to systemd: %v", err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(buf[:n])) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || k == "" {
			t.Errorf("not an assignment: %q", line)
		}
		said[k] = v
	}
	return said
}

func TestNotify(t *testing.T) {
	sd := newSystemd(t)
	dir := t.TempDir()
	p := start(t, dir, []string{sd.env})
	if said := sd.next(t); said["READY"] != "1" || said["STATUS"] == "" {
		t.Errorf("at the start: %v", said)
	}

	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if said := sd.next(t); said["RELOADING"] != "1" || said["MONOTONIC_USEC"] == "" {
		t.Errorf("at a reload: %v", said)
	}
	if said := sd.next(t); said["READY"] != "1" {
		t.Errorf("after a reload: %v", said)
	}

	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if said := sd.next(t); said["STOPPING"] != "1" {
		t.Errorf("at the end: %v", said)
	}
}

// servedKey returns the hash of the public key that a new connection is shown.
func (p *process) servedKey(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// A reload takes a new certificate. One that fails leaves the old one, with an alarm, and never gets in the way of SIGTERM.
func TestReload(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	put := func() (publicKey string) {
		t.Helper()
		from := t.TempDir()
		c, err := certificate.Open(certificate.Config{DataDir: from, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Rename(filepath.Join(from, "tls", "certificate.pem"), cert), os.Rename(filepath.Join(from, "tls", "key.pem"), key)); err != nil {
			t.Fatal(err)
		}
		return c.Info().PublicKey
	}
	one := put()
	sd := newSystemd(t)
	dir := t.TempDir()
	p := start(t, dir, []string{sd.env}, "--tls-cert", cert, "--tls-key", key)
	sd.next(t) // READY
	if p.publicKey != one || p.servedKey(t) != one {
		t.Errorf("it serves %s, printed %s, was given %s", p.servedKey(t), p.publicKey, one)
	}
	reload := func() map[string]string {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for {
			if said := sd.next(t); said["READY"] == "1" {
				return said
			}
		}
	}
	alarms := func() (texts []string) {
		t.Helper()
		var s shownStatus
		mustJSON(t, &s, "status", "--format", "json", "--data-dir", dir)
		for _, a := range s.Alarms {
			texts = append(texts, a.Text)
		}
		return texts
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := reload(); !strings.Contains(said["STATUS"], "Reload failed") || p.servedKey(t) != one {
		t.Errorf("a pipe: %v", said)
	}
	if a := alarms(); len(a) != 1 || !strings.Contains(a[0], cert+" is not a regular file") {
		t.Errorf("a pipe: the alarms are %q", a)
	}
	two := put()
	if reload(); p.servedKey(t) != two || two == one {
		t.Errorf("it serves %s, was given %s", p.servedKey(t), two)
	}
	if a := alarms(); len(a) != 0 {
		t.Errorf("the alarms are %q", a)
	}
	cli(t, "certificate", "renew", "--data-dir", dir).wants(t, exitRefused, "error: the certificate comes from the configuration", "hint: put a new one into the files")
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// STATUS follows the devices without a watchdog, too.
func TestStatusText(t *testing.T) {
	sd := newSystemd(t)
	dir := t.TempDir()
	p := start(t, dir, []string{sd.env})
	sd.status(t, "Waiting for devices on "+p.address)
	c := p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir)))
	send(t, c, 1)
	sd.status(t, "1 device connected")
	must(t, "device", "revoke", "probe-1", "--data-dir", dir)
	sd.status(t, "Waiting for devices on "+p.address)
}

func TestWatchdogIsFed(t *testing.T) {
	sd := newSystemd(t)
	start(t, t.TempDir(), []string{sd.env, "WATCHDOG_USEC=5000000"})
	sd.next(t) // READY
	for range 2 {
		if said := sd.next(t); said["WATCHDOG"] != "1" {
			t.Errorf("got %v", said)
		}
	}
}

// A hub whose committer stands still must not look alive.
func TestWatchdogStarves(t *testing.T) {
	sd := newSystemd(t)
	_, path, _ := strings.Cut(sd.env, "=")
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	var log lines
	s, err := openServer(&config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"}, newLogger(&log, slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	t.Cleanup(func() {
		stop()
		sd.conn.Close() // nobody may wait for it to be read
		if err := errors.Join(g.Wait(), s.close()); err != nil {
			t.Error(err)
		}
	})
	g.Go(func() error { return s.feedWatchdog(ctx) })
	waitFor(t, "the watchdog to notice", func() bool { return strings.Count(log.String(), "the committer stands still") > 3 })
	if err := sd.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := sd.conn.Read(make([]byte, 4096)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes were said to systemd, %v", n, err)
	}
	g.Go(func() error { return s.run(ctx) })
	if said := sd.next(t); said["WATCHDOG"] != "1" {
		t.Errorf("of a committer that works: %v", said)
	}
}

func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	cli(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0").wants(t, exitFailure, "error: a hub runs on "+dir+" already", "hint: telemetry-hub status")
	cli(t, "serve", "--data-dir", t.TempDir(), "--listen", p.address).wants(t, exitFailure, "address already in use", "hint: ")
	cli(t, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--tls-cert", "x").wants(t, exitFailure, "key")
	cli(t, "serve", "--data-dir", t.TempDir(), "--log-level", "loud").wants(t, exitUsage, "loud is not one of debug")
	cli(t, "serve", "extra").wants(t, exitUsage, `unexpected argument "extra"`, "hint: telemetry-hub serve --help")

	file := filepath.Join(t.TempDir(), "hub.toml")
	if err := os.WriteFile(file, []byte("[limits]\nconections = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, "serve", "--data-dir", t.TempDir(), "--config", file).wants(t, exitFailure, "error: "+file+": unknown key limits.conections", "hint: ")
	cliIn(t, []string{"TELEMETRY_HUB_CONFIG=" + file}, "serve", "--data-dir", t.TempDir()).wants(t, exitFailure, "unknown key")
}

// Flags win over the environment, the environment over the file, for the program as for loadConfig.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hub.toml")
	if err := os.WriteFile(file, []byte("listen = \"nowhere:x\"\nlog_level = \"error\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := start(t, dir, []string{"TELEMETRY_HUB_LISTEN=nowhere:y", "TELEMETRY_HUB_LOG_LEVEL=debug"}, "--config", file)
	if err := p.stop(t, syscall.SIGINT); err != nil {
		t.Errorf("SIGINT: %v", err)
	}
	if !strings.Contains(p.stderr.String(), "level=INFO") {
		t.Errorf("the log level of the file was used:\n%s", p.stderr)
	}
}

func TestSetupLink(t *testing.T) {
	dir := t.TempDir()
	hub := start(t, dir, nil)
	if err := hub.stop(t, syscall.SIGTERM); err != nil || hub.setup == "" {
		t.Errorf("without users, the hub printed no link (%v)", err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program("telemetry-hub"), "user", "add", "ada", "--role", "admin", "--password-file", password, "--data-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hub = start(t, dir, nil)
	if err := hub.stop(t, syscall.SIGTERM); err != nil || hub.setup != "" {
		t.Errorf("with a user, the hub printed %q (%v)", hub.setup, err)
	}
}
