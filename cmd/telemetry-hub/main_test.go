package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// programs is where TestMain puts the programs, built with the race detector.
var programs string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "telemetry-hub-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", "build", "-race", "-o", dir+"/", ".", "../firmware-sim")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, envPrefix) {
			os.Unsetenv(name)
		}
	}
	// The race detector would have every program wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return m.Run()
}

func program(name string) string { return filepath.Join(programs, name) }

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// cli runs telemetry-hub to its end.
func cli(t *testing.T, args ...string) result {
	t.Helper()
	return cliIn(t, nil, args...)
}

// cliIn runs telemetry-hub with more environment.
func cliIn(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program("telemetry-hub"), args...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs telemetry-hub, which has to succeed, and returns its output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := cli(t, args...)
	if r.code != 0 {
		t.Fatalf("telemetry-hub %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// mustJSON runs telemetry-hub and reads its output.
func mustJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out := must(t, args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("telemetry-hub %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// wants checks an exit code and what has to be in the error output.
func (r result) wants(t *testing.T, code int, stderr ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s", r.code, code, r.stderr)
	}
	for _, s := range stderr {
		if !strings.Contains(r.stderr, s) {
			t.Errorf("the error output lacks %q:\n%s", s, r.stderr)
		}
	}
}

// process is a telemetry-hub that runs.
type process struct {
	cmd       *exec.Cmd
	dir       string
	address   string // HOST:PORT
	publicKey string
	stderr    *lines

	rest chan string // what came on stdout after the ready line
	err  chan error  // how it ended

	setup string // the line with the link for the first user, known once it has ended
}

var readyLine = regexp.MustCompile(`^telemetry-hub ready: https://(127\.0\.0\.1:\d+) \(public key sha256 ([0-9a-f]{64})\)$`)

// setupLine is what a hub without users prints besides.
var setupLine = regexp.MustCompile(`^nobody can log in yet; make the first user: https://127\.0\.0\.1:\d+/setup#\S+\n`)

// start runs a hub on dir and returns when it is ready.
func start(t *testing.T, dir string, environ []string, args ...string) *process {
	t.Helper()
	p := &process{dir: dir, stderr: &lines{}, rest: make(chan string, 1), err: make(chan error, 1)}
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	p.cmd = exec.Command(program("telemetry-hub"), append([]string{"serve", "--data-dir", dir}, args...)...)
	p.cmd.Env = append(os.Environ(), environ...)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			<-p.err
		}
		if t.Failed() {
			t.Logf("the hub's log:\n%s", p.stderr)
		}
		if strings.Contains(p.stderr.String(), "DATA RACE") {
			t.Errorf("the hub has a data race:\n%s", p.stderr)
		}
	})
	out := bufio.NewReader(stdout)
	first := make(chan string, 1)
	go func() {
		line, _ := out.ReadString('\n')
		first <- strings.TrimSuffix(line, "\n")
		rest, _ := io.ReadAll(out)
		p.rest <- string(rest)
		p.err <- p.cmd.Wait()
	}()
	select {
	case line := <-first:
		m := readyLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("the ready line is %q\n%s", line, p.stderr)
		}
		p.address, p.publicKey = m[1], m[2]
	case <-time.After(time.Minute):
		t.Fatal("the hub did not get ready")
	}
	return p
}

// stop ends the hub with a signal and returns how it ended.
func (p *process) stop(t *testing.T, sig syscall.Signal) error {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.err:
		rest := <-p.rest
		if p.setup = setupLine.FindString(rest); p.setup != rest {
			t.Errorf("after the ready line came %q", rest)
		}
		return err
	case <-time.After(time.Minute):
		t.Fatalf("the hub did not end on %v", sig)
		return nil
	}
}

// lines is a buffer that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// waitFor waits until done.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// roots trusts the CA in a data directory.
func roots(t *testing.T, dir string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

var probe = &device.Schema{Channels: []device.Channel{
	{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 1000},
	{ID: 2, Name: "open", Type: device.Bool},
}}

// connect runs a device until the test ends.
func (p *process) connect(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "wss://" + p.address, Token: token, TLS: roots(t, p.dir), Schema: probe, Model: "probe"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := errors.Join(<-done, c.Close()); err != nil {
			t.Errorf("the device: %v", err)
		}
	})
	waitFor(t, "the device to connect", func() bool { return c.Stats().Connected })
	return c
}

var firstReading = time.Date(2026, 2, 4, 17, 51, 0, 0, time.UTC)

// send lets a device send samples from firstReading on, one a second, and waits until they are acknowledged.
func send(t *testing.T, c *client.Client, samples int) {
	t.Helper()
	sendAt(t, c, firstReading, samples)
}

func sendAt(t *testing.T, c *client.Client, first time.Time, samples int) {
	t.Helper()
	for i := range samples {
		d := &device.Data{
			Times: []int64{first.Add(time.Duration(i) * time.Second).UnixMicro()},
			Columns: []device.Column{
				{ID: 1, Type: device.Int, Bits: []uint64{uint64(2000 + i)}},
				{ID: 2, Type: device.Bool, Bits: []uint64{uint64(i % 2)}},
			},
		}
		if _, err := c.Send(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// shownDevice is a device as device show prints it.
type shownDevice struct {
	Device struct {
		ID, Kind, Model string
	}
	Revoked  bool
	Presence struct {
		Connected bool
		Since     time.Time
	}
	Books  struct{ Frames, Readings, Rejected uint64 }
	Schema *live.Schema
}

// shownStatus is what status prints.
type shownStatus struct {
	Running            bool
	Connected, Devices int
	Frames, Readings   uint64
	Storage            struct{ State, Error string }
	Tails              []store.TailStatus
	Alarms             []struct{ Text string }
}

func show(t *testing.T, dir, id string) (d shownDevice) {
	t.Helper()
	mustJSON(t, &d, "device", "show", id, "--format", "json", "--data-dir", dir)
	return d
}
