package firmwaresim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	readyTime = 60 * time.Second // for a hub to start, recovery of a large journal included
	stopTime  = 30 * time.Second // for a hub to end cleanly
)

// hubConfig is the configuration of a hub of our own: there may be more devices than a hub takes unless it is told to, and on
// purpose they come back far more often than real ones do.
const hubConfig = `[limits]
connections = 100000
connections_per_address = 100000
connects_per_device = 1000
failures_per_address = 1000
`

// childHub is a hub of our own: the real program as a child process, in a directory of its own, on loopback. It keeps its
// address when it is started again. Its methods are for one goroutine, except those of the command line.
type childHub struct {
	binary  string
	dir     string   // holds data/, hub.toml and hub.log
	address string   // HOST:PORT; before the first start the port is 0
	export  string   // URL of InfluxDB; empty: none
	env     []string // what its environment has besides ours
	old     bool     // its program is from before --format

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process is gone and err is set
	err    error
}

// newChildHub prepares a hub that keeps everything in dir. It does not run yet.
func newChildHub(binary, dir string) (*childHub, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return nil, problem("go build ./cmd/telemetry-hub makes one", "hub binary: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	h := &childHub{binary: path, dir: dir, address: loopback + ":0"}
	return h, os.WriteFile(h.file("hub.toml"), []byte(hubConfig), 0o600)
}

func (h *childHub) file(name string) string { return filepath.Join(h.dir, name) }

// start runs the hub and returns when it is ready.
func (h *childHub) start(ctx context.Context) error {
	log, err := os.OpenFile(h.file("hub.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(h.binary, "serve", "--data-dir", h.file("data"), "--listen", h.address, "--config", h.file("hub.toml"))
	if h.export != "" {
		cmd.Args = append(cmd.Args, "--influx-url", h.export, "--influx-bucket", influxDatabase)
	}
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), h.env...)
	cmd.SysProcAttr = childAttributes()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the hub: %w", err)
	}
	h.cmd, h.exited = cmd, make(chan struct{})
	ready := make(chan string, 1)
	go h.attend(stdout, ready)

	late := time.NewTimer(readyTime)
	defer late.Stop()
	select {
	case address := <-ready:
		h.address = address
		return nil
	case <-h.exited:
		return h.failed("the hub did not start: %w", h.err)
	case <-late.C:
		h.kill()
		return h.failed("the hub was not ready after %v", readyTime)
	case <-ctx.Done():
		h.kill()
		return ctx.Err()
	}
}

// attend reads what the hub prints until it is gone, and tells its address when it says that it is ready.
func (h *childHub) attend(stdout io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := readyAddress(lines.Text()); ok {
			select {
			case ready <- address:
			default: // it says so once
			}
		}
	}
	_, _ = io.Copy(io.Discard, stdout) // after a line too long for the scanner
	h.err = h.cmd.Wait()
	close(h.exited)
}

// readyAddress takes HOST:PORT from the line `telemetry-hub ready: https://HOST:PORT (…)`.
func readyAddress(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "telemetry-hub ready: ")
	if !ok {
		return "", false
	}
	address, _, _ := strings.Cut(rest, " ")
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		return "", false
	}
	return u.Host, true
}

// running says whether the process lives.
func (h *childHub) running() bool {
	if h.cmd == nil {
		return false
	}
	select {
	case <-h.exited:
		return false
	default:
		return true
	}
}

// kill ends the hub as a power cut would, and returns when it is gone.
func (h *childHub) kill() {
	if h.running() {
		_ = h.cmd.Process.Kill()
		<-h.exited
	}
}

// stop ends the hub cleanly; anything but exit code 0 is an error.
func (h *childHub) stop() error {
	if !h.running() {
		return h.failed("the hub had ended by itself: %w", h.err)
	}
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-h.exited:
		if h.err != nil {
			return h.failed("the hub did not end cleanly: %w", h.err)
		}
		return nil
	case <-late.C:
		h.kill()
		return h.failed("the hub was still running %v after SIGTERM", stopTime)
	}
}

// failed adds the end of the hub's log to an error about it.
func (h *childHub) failed(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	log, readErr := os.ReadFile(h.file("hub.log"))
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return fmt.Errorf("%w; its log ends with:\n  %s", err, strings.Join(lines[max(0, len(lines)-5):], "\n  "))
}

// target is the hub as a device sees it; it has to have been started once.
func (h *childHub) target() (Target, error) {
	return NewTarget("wss://"+h.address, h.file("data/tls/ca.pem"), false)
}
