package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
)

// startUnread starts a program whose output nobody reads after its first line, which has to contain said.
func startUnread(t *testing.T, said, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(name), args...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	for out := bufio.NewReader(r); ; {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s ended: %v", name, err)
		}
		if strings.Contains(line, said) {
			break
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Whoever reads the output may go away, as journald does for a restart: the programs go on, and end when they are told to.
func TestReadersOfTheOutputGoAway(t *testing.T) {
	dir := t.TempDir()
	hub := startUnread(t, "ready: https://", "telemetry-hub", "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--log-level", "debug")
	for range 3 {
		if err := hub.Process.Signal(syscall.SIGHUP); err != nil { // each is logged
			t.Fatal(err)
		}
	}
	var s control.Status
	mustJSON(t, &s, "status", "--json", "--data-dir", dir)
	if !s.Running {
		t.Error("the hub is gone")
	}
	credentials := filepath.Join(t.TempDir(), "sim.csv")
	must(t, "device", "add", "--count", "2", "--prefix", "sim", "--output", credentials, "--data-dir", dir)

	// What ends in good order has written a line at its end, to nobody.
	devices := startUnread(t, "", "firmware-sim", "run", "--hub", "wss://127.0.0.1:1", "--insecure", "--credentials", credentials, "--devices", "2")
	demo := startUnread(t, "Ctrl-C ends the demo", "telemetry-hub", "demo")
	for _, p := range []*exec.Cmd{devices, demo, hub} {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil && !strings.Contains(err.Error(), "exit status") || p.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("%s: %v", p.Args, err)
		}
	}
}

// An address means the family that it names, and what is wrong with one is found before anything is made.
func TestListen(t *testing.T) {
	for address, want := range map[string]struct{ v4, v6 bool }{
		"0.0.0.0:0": {v4: true}, "[::]:0": {v6: true}, ":0": {true, true},
		"127.0.0.1:0": {v4: true}, "[::1]:0": {v6: true}, "[::ffff:127.0.0.1]:0": {v4: true},
	} {
		ln, err := listen(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		for loopback, want := range map[string]bool{"127.0.0.1": want.v4, "::1": want.v6} {
			conn, err := net.Dial("tcp", net.JoinHostPort(loopback, port))
			if (err == nil) != want {
				t.Errorf("%s answers at %s: %v", address, loopback, err)
			}
			if err == nil {
				conn.Close()
			}
		}
		ln.Close()
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, hint := range map[string]string{
		"8443": "HOST:PORT", "127.0.0.1": "HOST:PORT", "192.0.2.1:0": "does not have the address", "nowhere.invalid:1": "", "127.0.0.1:x": "",
		taken.Addr().String(): "another program listens there",
	} {
		dir := filepath.Join(t.TempDir(), "data")
		r := cli(t, "serve", "--data-dir", dir, "--listen", address)
		r.wants(t, exitFailure, "error: ", hint)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("--listen %s: a data directory was made", address)
		}
	}
}

func TestOpenDataDirectory(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o700: false, 0o755: false, 0o777: true, 0o770: true} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log lines
		warnOfOpenDirectory(dir, newLogger(&log, nil))
		if got := strings.Contains(log.String(), "other users can replace"); got != warned {
			t.Errorf("mode %v: %q", mode, log.String())
		}
	}
}
