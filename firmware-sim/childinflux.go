package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

// influxDatabase is the database a childInflux has.
const influxDatabase = "telemetry"

const influxConfig = `reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
query-log-enabled = false
[http]
bind-address = %q
flux-enabled = true
log-enabled = false
[monitor]
store-enabled = false
`

// childInflux is an InfluxDB 1.8 of our own: influxd as a child process, in a directory of its own, on loopback. It keeps
// its address when it is started again. Its methods are for one goroutine.
type childInflux struct {
	binary string
	dir    string
	url    string
	cmd    *exec.Cmd
}

// newChildInflux prepares an InfluxDB that keeps everything in dir. It does not run yet.
func newChildInflux(binary, dir string) (*childInflux, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return nil, problem("go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10 makes one", "influxd: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	x := &childInflux{binary: path, dir: dir, url: "http://" + address}
	in := func(name string) string { return filepath.Join(dir, name) }
	config := fmt.Sprintf(influxConfig, in("meta"), in("data"), in("wal"), address)
	return x, os.WriteFile(in("influxdb.conf"), []byte(config), 0o600)
}

// freeAddress returns an address that stays free between two starts: nobody is given a port below 32768 without asking.
func freeAddress() (string, error) {
	var errs error
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", loopback, 20000+rand.IntN(12000)))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
		errs = err
	}
	return "", errs
}

// start runs InfluxDB and returns when it answers and has the database.
func (x *childInflux) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(x.dir, "influxd.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	x.cmd = exec.Command(x.binary, "-config", filepath.Join(x.dir, "influxdb.conf"))
	x.cmd.Stdout, x.cmd.Stderr = log, log
	x.cmd.SysProcAttr = childAttributes()
	if err := x.cmd.Start(); err != nil {
		return fmt.Errorf("start influxd: %w", err)
	}
	for deadline := time.Now().Add(readyTime); ; {
		if err = x.createDatabase(ctx); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			x.kill()
			return fmt.Errorf("influxd was not ready after %v: %w", readyTime, err)
		}
		if !sleep(ctx, 50*time.Millisecond) {
			x.kill()
			return ctx.Err()
		}
	}
}

func (x *childInflux) createDatabase(ctx context.Context) error {
	u := x.url + "/query?" + url.Values{"q": {"CREATE DATABASE " + influxDatabase}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// kill ends InfluxDB as a power cut would, and returns when it is gone.
func (x *childInflux) kill() {
	if x.cmd == nil {
		return
	}
	_ = x.cmd.Process.Kill()
	_ = x.cmd.Wait()
	x.cmd = nil
}

// query runs a Flux query through the v2 API and calls yield with each record.
func (x *childInflux) query(ctx context.Context, flux string, yield func(deviceID, field string, value any)) error {
	client := influxdb2.NewClientWithOptions(x.url, "", influxdb2.DefaultOptions().SetHTTPRequestTimeout(300))
	defer client.Close()
	result, err := client.QueryAPI("").Query(ctx, flux)
	if err != nil {
		return fmt.Errorf("%s: %w", flux, err)
	}
	defer result.Close()
	for result.Next() {
		r := result.Record()
		deviceID, _ := r.ValueByKey("device").(string)
		yield(deviceID, r.Field(), r.Value())
	}
	return result.Err()
}
