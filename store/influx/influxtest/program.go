// Package influxtest runs a real InfluxDB 1.8.10 for tests.
package influxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const (
	version = "1.8.10"
	program = "github.com/influxdata/influxdb/cmd/influxd@v" + version
)

// Program returns the path of influxd. The first time on a machine it is built from its source, which takes some minutes
// and the network, and kept in the user's cache directory.
func Program(t testing.TB) string {
	t.Helper()
	path, err := install()
	if err != nil {
		t.Fatalf("these tests need InfluxDB %s: %v", version, err)
	}
	return path
}

func install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "telemetry-hub", "influxd-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// The tests of several packages run at the same time: one of them builds, the others wait.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "influxd")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := filepath.Join(dir, "build")
	if err := os.MkdirAll(build, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "install", program)
	cmd.Dir = build // outside of this module
	cmd.Env = append(os.Environ(), "GOBIN="+build, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", program, err, out)
	}
	return path, os.Rename(filepath.Join(build, "influxd"), path)
}
