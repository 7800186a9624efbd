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
	var s shownStatus
	mustJSON(t, &s, "status", "--format", "json", "--data-dir", dir)
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

// What can only be read, such as a copy on a read-only file system, can be read. It is not changed, and no copy stays behind.
func TestDataThatCanOnlyBeRead(t *testing.T) {
	dir, temporary := t.TempDir(), t.TempDir()
	p := start(t, dir, nil)
	token := strings.TrimSpace(must(t, "device", "add", "pump-7", "--data-dir", dir))
	send(t, p.connect(t, token), 5)
	if err := p.cmd.Process.Kill(); err != nil { // what the history lacks is in the journal
		t.Fatal(err)
	}
	<-p.err
	journal := filepath.Join(t.TempDir(), "journal") // on another disk
	if err := errors.Join(os.Rename(filepath.Join(dir, "journal"), journal), os.Symlink(journal, filepath.Join(dir, "journal"))); err != nil {
		t.Fatal(err)
	}
	readOnly(t, journal)
	as := readOnly(t, dir)
	if err := errors.Join(os.Chmod(filepath.Dir(temporary), 0o755), os.Chmod(temporary, 0o777), os.Chmod(programs, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"readings", "pump-7", "--format", "csv"}, 0, "2026-02-04T17:51:04.000000Z,pump-7,temperature"},
		{[]string{"status"}, 0, "5 stored"},
		{[]string{"device", "list"}, 0, "pump-7"},
		{[]string{"certificate", "show"}, 0, p.publicKey},
		{[]string{"device", "rotate", "pump-7"}, exitUnreachable, "error: open " + dir + "/hub.db: permission denied\nhint: "},
		{[]string{"serve", "--listen", "127.0.0.1:0"}, exitFailure, "hint: "},
	} {
		cmd := exec.Command(program("telemetry-hub"), append(c.args, "--data-dir", dir)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
		cmd.SysProcAttr = as
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: exit code %d, and\n%s", c.args, cmd.ProcessState.ExitCode(), out)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

// readOnly lets everybody read all that is in dir, and write nothing there. A process with the attributes is bound by that,
// which root is not.
func readOnly(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	for _, path := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} { // t.TempDir is of the user alone
		if path == os.TempDir() {
			break
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type() == os.ModeSymlink {
			return err
		}
		if entry.IsDir() {
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) // so that it can be removed
			return os.Chmod(path, 0o555)
		}
		if entry.Type() == os.ModeSocket {
			return os.Chmod(path, 0o666) // it takes the right to write to find that nobody listens
		}
		return os.Chmod(path, 0o444)
	})
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// What the environment says of a watchdog may be nonsense.
func TestWatchdogThatCannotBeRead(t *testing.T) {
	p := start(t, t.TempDir(), []string{"WATCHDOG_USEC=soon"})
	waitFor(t, "the warning", func() bool { return strings.Contains(p.stderr.String(), "no watchdog") })
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("the hub ended: %v", err)
	}
}
