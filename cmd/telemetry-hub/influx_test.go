package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

func TestInfluxSettings(t *testing.T) {
	file := `
data_dir = "d"
[influx]
url = "http://file:8086"
org = "an org"
bucket = "db/rp"
timeout = "5s"
gzip = "always"
batch_lines = 100
batch_bytes = "64KiB"
flush_interval = "200ms"
`
	c, err := load(t, file, []string{"TELEMETRY_HUB_INFLUX_ORG=env", "TELEMETRY_HUB_INFLUX_TOKEN=secret"}, "--influx-url", "http://flag:8086")
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Influx.options(func(name string) string { return map[string]string{tokenVariable: "secret"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	if o.URL != "http://flag:8086" || o.Org != "env" || o.Bucket != "db/rp" || o.Token != "secret" || o.Timeout != 5*time.Second ||
		o.Gzip == nil || !*o.Gzip || o.BatchLines != 100 || o.BatchBytes != 64<<10 || o.FlushInterval != 200*time.Millisecond {
		t.Errorf("options %+v", o)
	}
	none := func(string) string { return "" }
	if o, err := (&influxConfig{}).options(none); o != nil || err != nil {
		t.Errorf("without a URL: %+v, %v", o, err)
	}
	for _, bad := range []influxConfig{
		{URL: "127.0.0.1:8086", Bucket: "b"},
		{URL: "http://x"},
		{URL: "http://x", Bucket: "b", Gzip: "yes"},
		{URL: "http://x", Bucket: "b", TokenFile: "/does/not/exist"},
	} {
		if _, err := bad.options(none); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// TestInfluxToken reads the token from each place it may be in; the file comes before the credential and the environment.
func TestInfluxToken(t *testing.T) {
	dir := t.TempDir()
	for name, token := range map[string]string{
		"file": "from file\n", tokenCredential: "from credential\n",
		"marked": "\ufefffrom file\r\n", "wide": "\xff\xfeh\x00i\x00\r\x00\n\x00", "half": "\xff\xfeh",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		file, credentials, variable string
		want                        string
	}{
		{filepath.Join(dir, "file"), dir, "from environment", "from file"},
		{"", dir, "from environment", "from credential"},
		{filepath.Join(dir, "marked"), "", "", "from file"},
		{filepath.Join(dir, "wide"), "", "", "hi"},
		{"", t.TempDir(), "from environment", "from environment"},
		{"", "", "", ""},
	} {
		environ := map[string]string{"CREDENTIALS_DIRECTORY": test.credentials, tokenVariable: test.variable}
		c := influxConfig{TokenFile: test.file}
		if got, err := c.token(func(name string) string { return environ[name] }); got != test.want || err != nil {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
	c := influxConfig{TokenFile: filepath.Join(dir, "half")}
	if _, err := c.token(os.Getenv); err == nil || !strings.Contains(err.Error(), "save it as UTF-8") {
		t.Errorf("half a file: %v", err)
	}
}

func TestInfluxCheckCommand(t *testing.T) {
	db := influxtest.Start(t)
	check := func(args ...string) (string, int) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"influx", "check"}, args...), &stdout, &stderr)
		return stdout.String() + stderr.String(), code
	}
	if out, code := check("--influx-url", db.URL, "--influx-bucket", influxtest.Database); code != 0 || !strings.Contains(out, "read back with Flux") {
		t.Errorf("%d: %s", code, out)
	}
	if out, code := check("--influx-url", db.URL, "--influx-bucket", "nothing"); code != exitFailure || !strings.Contains(out, `database not found: "nothing"`) {
		t.Errorf("%d: %s", code, out)
	}
	if out, code := check(); code != exitUsage || !strings.Contains(out, "no URL") {
		t.Errorf("%d: %s", code, out)
	}
}

func TestStatusOfTheExport(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ms := func(t time.Time) live.Millis { return live.Millis(t.UnixMilli()) }
	e := &api.ExportStatus{
		URL: "http://x", Bucket: "b", State: "backing off", Since: ms(at), Reason: "no answer: connection refused", NextTry: ms(at.Add(time.Minute)),
		Waiting: api.WaitingState{Entries: 12345, Bytes: 1 << 20, Oldest: ms(at)}, Horizon: ms(at.Add(48 * time.Hour)), DropsFrom: ms(at),
	}
	e.Dropped, e.Refused, e.NotFinite = 7, 3, 2
	shown := func(e *api.ExportStatus) string {
		var b strings.Builder
		if err := render.Record(&b, render.FormatTable, e, func(t *render.Table) { fillExport(t, e, at.Add(time.Hour)) }); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, words := range []string{
		"backing off since 2026-03-01T12:00:00Z", "connection refused", "next try at 2026-03-01T12:01:00Z", "12,345 frames (1.0 MiB) wait, the oldest 1h ago",
		"hold out until 2026-03-03T12:00:00Z", "received from 2026-03-01T12:00:00Z on", "7 journal entries dropped", "3 refused", "2 not finite",
	} {
		if out := shown(e); !strings.Contains(out, words) {
			t.Errorf("it does not say %q:\n%s", words, out)
		}
	}
	if out := shown(nil); out != "" {
		t.Errorf("without an export: %s", out)
	}
}

var queryFence = regexp.MustCompile("(?ms)^```(flux|influxql)\n(.*?)^```$")

// TestQueriesOfTheREADME runs a hub that exports, and what the README says to ask InfluxDB then.
func TestQueriesOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	for _, m := range queryFence.FindAllStringSubmatch(string(readme), -1) {
		queries[m[1]] = m[2]
	}
	if len(queries) != 2 {
		t.Fatalf("queries %q", queries)
	}
	db := influxtest.Start(t)
	dir := t.TempDir()
	creds := filepath.Join(dir, "creds.csv")
	hub := start(t, filepath.Join(dir, "data"), nil, "--influx-url", db.URL, "--influx-bucket", influxtest.Database)
	must(t, "device", "add", "--count", "3", "--prefix", "sim", "--output", creds, "--data-dir", hub.dir)
	simulate(t, "run", "--hub", "wss://"+hub.address, "--ca", filepath.Join(dir, "data/tls/ca.pem"),
		"--credentials", creds, "--devices", "3", "--rate", "5", "--profile", "meter", "--duration", "2s")
	waitFor(t, "the readings in InfluxDB", func() bool { return len(db.Exec(`SELECT power FROM telemetry GROUP BY device`)) == 3 })
	devices := map[any]bool{}
	for _, record := range db.Flux(queries["flux"]) {
		if _, ok := record["_value"].(float64); !ok {
			t.Errorf("record %v", record)
		}
		devices[record["device"]] = true
	}
	if len(devices) != 3 {
		t.Errorf("Flux finds the devices %v", devices)
	}
	if series := db.Exec(queries["influxql"]); len(series) != 3 || len(series[0].Values) == 0 {
		t.Errorf("InfluxQL finds %v", series)
	}
}

// simulate runs firmware-sim, which has to succeed, and returns its output.
func simulate(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program("firmware-sim"), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("firmware-sim %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// TestVerifyWithInflux is a short run of what proves the export.
func TestVerifyWithInflux(t *testing.T) {
	out := simulate(t, "verify", "--hub-binary", program("telemetry-hub"), "--influx", influxtest.Program(t),
		"--devices", "10", "--duration", "8s", "--kill-every", "2s")
	if !strings.Contains(out, "readings in InfluxDB") || !strings.Contains(out, "every frame is accounted for") {
		t.Errorf("it says\n%s", out)
	}
}

func TestReasonOfALetter(t *testing.T) {
	if got := reason(&api.DeadLetter{Lines: 2, Text: "conflict"}); got != "InfluxDB, 2 lines: conflict" {
		t.Error(got)
	}
}
