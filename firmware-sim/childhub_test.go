package firmwaresim

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaryDir is where the tests' hub is built; TestMain removes it.
var binaryDir string

// buildHub builds the program once for all tests of the package.
var buildHub = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "telemetry-hub-test-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	binary := filepath.Join(dir, "telemetry-hub")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/telemetry-hub")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

func hubBinary(t *testing.T) string {
	t.Helper()
	binary, err := buildHub()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// startHub runs a hub until the test ends.
func startHub(t *testing.T) *childHub {
	t.Helper()
	h, err := newChildHub(hubBinary(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// addDevices registers devices.
func addDevices(t *testing.T, h *childHub, count int) (Target, []Credential) {
	t.Helper()
	target, credentials, err := h.addDevices(t.Context(), count)
	if err != nil {
		t.Fatal(err)
	}
	return target, credentials
}

// await polls until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// readAll returns the rows of `readings --format csv` without the header.
func readAll(t *testing.T, h *childHub, id string) (rows [][]string) {
	t.Helper()
	err := h.command(t.Context(), func(r io.Reader) (err error) {
		rows, err = csv.NewReader(r).ReadAll()
		return err
	}, "readings", id, "--format", "csv")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Fatalf("%s: not even a header", id)
	}
	return rows[1:]
}

func TestHubThatDoesNotStart(t *testing.T) {
	if _, err := newChildHub("/nonexistent/hub", t.TempDir()); err == nil {
		t.Error("a hub that is not there was found")
	}
	h, err := newChildHub(hubBinary(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.file("hub.toml"), []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = h.start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v, want one that quotes the hub's log", err)
	}
}

func TestParseReadings(t *testing.T) {
	const file = "time,device,channel,value\n" +
		"2026-11-21T08:00:00.000001000Z,d,note,\"a \"\"quoted\"\", text\"\n"
	var got []reading
	err := parseReadings(strings.NewReader(file), "d", func(r reading) { got = append(got, r) })
	if err != nil || len(got) != 1 || got[0].value != `a "quoted", text` || got[0].time != 1795248000000001 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"",
		"time,device,channel\n",
		"time,device,channel,value\n2026-11-21T08:00:00Z,other,a,1\n",
		"time,device,channel,value\nyesterday,d,a,1\n",
		"time,device,channel,value\n2026-11-21T08:00:00.000000001Z,d,a,1\n",
		"time,device,channel,value\n2026-11-21T08:00:00Z,d,a\n",
	} {
		if err := parseReadings(strings.NewReader(bad), "d", func(reading) {}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadyAddress(t *testing.T) {
	got, ok := readyAddress("telemetry-hub ready: https://127.0.0.2:41234 (public key sha256 00)")
	if !ok || got != "127.0.0.2:41234" {
		t.Errorf("%q, %v", got, ok)
	}
	for _, bad := range []string{"", "telemetry-hub ready: nonsense", "hello https://127.0.0.2:41234"} {
		if got, ok := readyAddress(bad); ok {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}

func FuzzParseReadings(f *testing.F) {
	f.Add("time,device,channel,value\n2026-11-21T08:00:00.000001000Z,d,note,\"a, b\"\n")
	f.Fuzz(func(t *testing.T, out string) {
		_ = parseReadings(strings.NewReader(out), "d", func(r reading) {
			if len(r.channel)+len(r.value) > maxReadingLine+readAhead {
				t.Fatalf("a reading of %d bytes", len(r.channel)+len(r.value))
			}
		})
	})
}
