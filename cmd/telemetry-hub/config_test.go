package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub"
)

// load loads a configuration as serve would be given it.
func load(t *testing.T, file string, environ []string, args ...string) (*config, error) {
	t.Helper()
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "hub.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := newServe().Flags()
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, path, environ)
}

func TestMarkedFile(t *testing.T) {
	c, err := load(t, "\ufeffdata_dir = \"d\"\r\n[journal]\r\nmax_age = \"30d\"\r\n", nil)
	if err != nil || c.DataDir != "d" || c.Journal.MaxAge != age(30*24*time.Hour) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	file := `
data_dir = "from-file"
listen = "file:1"
log_level = "debug"
[journal]
max_bytes = "3GiB"
max_age = "30d"
[history]
max_bytes = 1048576
[limits]
connections = 20
idle = "90s"
frames_per_second = 12.5
`
	c, err := load(t, file, []string{
		"TELEMETRY_HUB_LISTEN=env:1", "TELEMETRY_HUB_DATA_DIR=from-env", "TELEMETRY_HUB_LIMITS_CONNECTIONS=30",
		"TELEMETRY_HUB_HISTORY_MAX_AGE=12h", "TELEMETRY_HUB_CONFIG=ignored-here", "PATH=/bin",
		"TELEMETRY_HUB_PORT=tcp://10.0.0.1:80", "TELEMETRY_HUB_SERVICE_HOST=10.0.0.1", "TELEMETRY_HUB_PORT_8443_TCP_ADDR=10.0.0.1",
	}, "--listen", "flag:1")
	if err != nil {
		t.Fatal(err)
	}
	want := &config{
		DataDir: "from-env", Listen: "flag:1", LogLevel: slog.LevelDebug,
		Journal: journalConfig{MaxBytes: 3 << 30, MaxAge: age(30 * 24 * time.Hour)},
		History: historyConfig{MaxBytes: 1 << 20, MaxAge: age(12 * time.Hour)},
		Limits:  limitsConfig{Connections: 30, Idle: 90 * time.Second, FramesPerSecond: 12.5},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if l := c.hubLimits(); l.Connections != 30 || l.Idle != 90*time.Second || l.WriteTimeout != 0 {
		t.Errorf("the hub's limits: %+v", l)
	}
	if o := c.storeOptions(nil); o.Dir != "from-env" || o.JournalMaxBytes != 3<<30 || o.HistoryMaxAge != 12*time.Hour {
		t.Errorf("the store's options: %+v", o)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	for _, c := range []struct {
		file    string
		environ []string
		want    string // in the error
		hint    string
	}{
		{"", nil, "no data directory", "--data-dir"},
		{"[limits]\nconections = 1", nil, "hub.toml: unknown key limits.conections", "connections, connections_per_address"},
		{"lisen = 1", nil, "hub.toml: unknown key lisen", "data_dir, listen"},
		{"[limit]\nidle = '1s'", nil, "hub.toml: unknown key limit.idle", "[journal], [history], [influx] and [limits]"},
		{"[limits.idle]\nx = 1", nil, "hub.toml: unknown key limits.idle.x", "[limits]"},
		{"limits = 1", nil, "hub.toml: unknown key limits", ""},
		{"[nothing]", nil, "hub.toml: unknown key nothing", ""},
		{"listen = ", nil, "hub.toml:1:", ""},
		{"", []string{"TELEMETRY_HUB_LIMITS_CONECTIONS=1"}, "the environment: unknown key TELEMETRY_HUB_LIMITS_CONECTIONS", "TABLE_KEY"},
		{"", []string{"TELEMETRY_HUB_LIMITS_CONNECTIONS=many"}, "the environment: limits.connections: many is not a number above 0", ""},
		{"listen = 1", nil, "hub.toml: listen: 1 is not a text", ""},
		{"log_level = 'loud'", nil, "log_level: loud is not one of", ""},
		{"[limits]\nconnections = 0", nil, "limits.connections: 0 is not a number above 0", ""},
		{"[limits]\nconnections = 1.5", nil, "limits.connections: 1.5 is not a whole number", ""},
		{"[limits]\nconnections = nan", nil, "limits.connections: NaN is not a number above 0", ""},
		{"[limits]\nidle = 60", nil, "limits.idle: 60 has no unit", ""},
		{"[limits]\nidle = '0s'", nil, "limits.idle: 0s is not above 0", ""},
		{"[limits]\nidle = '1 hour'", nil, `"1 hour" is not a duration`, ""},
		{"[journal]\nmax_age = '-1d'", nil, "journal.max_age: -1d is below 0", ""},
		{"[journal]\nmax_bytes = '3 parsecs'", nil, `"3 parsecs" is not a size`, ""},
		{"[journal]\nmax_bytes = '0'", nil, `"0" is not a size`, ""},
		{"[journal]\nmax_bytes = 12", nil, "journal.max_bytes: 12 is too little", "journal.max_bytes is at least 4MiB"},
		{"[history]\nmax_bytes = '12'", nil, "history.max_bytes: 12 is too little", "at least 1MiB"},
		{"[history]\nmax_age = '1ms'", nil, "history.max_age: 1ms is too little", `at least 1m, or "0s" for no limit`},
		{"[journal]\ncommit_window = '2s'", nil, "journal.commit_window: 2s is too much", "at most 1s"},
		{"[journal]\ncommit_window = '50us'", nil, "journal.commit_window: 50us is too little", "at least 5ms"},
		{"[influx]\nbatch_bytes = 1", nil, "influx.batch_bytes: 1 is too little", "at least 4KiB"},
		{"[influx]\ntimeout = '20us'", nil, "influx.timeout: 20us is too little", "at least 1s"},
		{"[limits]\nidle = '60ms'", nil, "limits.idle: 60ms is too little", "at least 5s"},
		{"[limits]\nwindow_bytes = 100", nil, "limits.window_bytes: 100 is too little", "at least 16384"},
		{"[limits]\nconnects_per_device = 1e-9", nil, "limits.connects_per_device: 1e-09 is too little", "at least 0.001"},
		{"", []string{"TELEMETRY_HUB_JOURNAL_MAX_BYTES=12"}, "the environment: journal.max_bytes: 12 is too little", "4MiB"},
	} {
		_, err := load(t, c.file, c.environ)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %v, want %q", c.file, c.environ, err, c.want)
			continue
		}
		if h, ok := errors.AsType[*hintedError](err); c.hint != "" && (!ok || !strings.Contains(h.hint, c.hint)) {
			t.Errorf("%q %q: got hint %+v, want %q", c.file, c.environ, h, c.hint)
		}
	}
}

func TestDataDirectoryOfTheService(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/telemetry-hub:/var/lib/other")
	if c, err := load(t, "", nil); err != nil || c.DataDir != "/var/lib/telemetry-hub" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := load(t, "", nil, "--data-dir", "elsewhere"); err != nil || c.DataDir != "elsewhere" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestByteSizes(t *testing.T) {
	for s, want := range map[string]byteSize{"1": 1, "4096": 4096, "10B": 10, "1.5KiB": 1536, "500MB": 500e6, "2 GiB": 2 << 30, "1tb": 1e12} {
		if got, err := parseByteSize(s); got != want || err != nil {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "B", "x", "-1", "1XB", "NaN", "Inf", "1e30", "MiB"} {
		if got, err := parseByteSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

var sampleKey = regexp.MustCompile(`(?m)^#([a-z_]+ = .*)$`)

// The configuration that is installed explains every key, and what it gives as the defaults are the defaults.
func TestSampleConfiguration(t *testing.T) {
	sample, err := os.ReadFile("../../systemd/telemetry-hub.toml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STATE_DIRECTORY", "/var/lib/telemetry-hub")
	untouched, err := load(t, string(sample), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (&config{DataDir: "/var/lib/telemetry-hub", Listen: ":8443"}); !reflect.DeepEqual(untouched, want) {
		t.Errorf("the sample changes something: %+v", untouched)
	}
	uncommented := sampleKey.ReplaceAllString(string(sample), "$1")
	c, err := load(t, uncommented, nil)
	if err != nil {
		t.Fatal(err)
	}
	var known, shown []string
	fields := map[string]any{}
	addFields(fields, "", reflect.ValueOf(c).Elem())
	for key := range fields {
		known = append(known, key[strings.LastIndexByte(key, '.')+1:])
	}
	for _, m := range sampleKey.FindAllStringSubmatch(string(sample), -1) {
		key, _, _ := strings.Cut(m[1], " ")
		shown = append(shown, key)
	}
	slices.Sort(known)
	slices.Sort(shown)
	if !slices.Equal(known, shown) {
		t.Errorf("the keys are\n%s\nand the sample shows\n%s", known, shown)
	}
	if got, want := c.hubLimits(), hub.DefaultLimits(); got != want {
		t.Errorf("limits in the sample\n%+v\nand by default\n%+v", got, want)
	}
}

// Every range is that of a setting, can be read, and "0s" passes where it stands for no limit. (checkRange panics otherwise.)
func TestRanges(t *testing.T) {
	fields := map[string]any{}
	addFields(fields, "", reflect.ValueOf(&config{}).Elem())
	for key, r := range ranges {
		field, ok := fields[key]
		if !ok {
			t.Errorf("there is no setting %s", key)
			continue
		}
		for _, edge := range []string{r.least, r.most} {
			if edge == "" {
				continue
			}
			if err := setField(field, edge); err != nil {
				t.Errorf("%s: %v", key, err)
			} else if err := checkRange(key, field, edge); err != nil {
				t.Errorf("%s = %s is within its range: %v", key, edge, err)
			}
		}
	}
	if c, err := load(t, "data_dir = 'd'\n[history]\nmax_age = '0s'", nil); err != nil || c.History.MaxAge != 0 {
		t.Errorf("no limit: %v", err)
	}
}

// What a key meant that is gone is forgotten, but a hub with a file that sets it starts.
func TestRetiredKeys(t *testing.T) {
	c, err := load(t, "data_dir = 'd'\n[limits]\nhandshakes_per_second = 200\nconnections = 7", []string{"TELEMETRY_HUB_LIMITS_HANDSHAKES_PER_SECOND=5"})
	if err != nil || c.Limits.Connections != 7 {
		t.Errorf("%+v, %v", c, err)
	}
}
