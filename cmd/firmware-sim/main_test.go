package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	firmwaresim "github.com/telemetry-hub/telemetry-hub/firmware-sim"
)

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"--help", []string{"run", "replay", "verify", "bench", "device add"}},
		{"run --help", []string{"--hub", "--credentials", "--ca", "--insecure", "--devices", "--rate", "--profile", "--duration", "--seed"}},
		{"replay --help", []string{"--device", "--time-column", "--time-layout", "--speed", "60x", "empty cell"}},
		{"verify --help", []string{"--hub-binary", "--devices", "--duration", "--kill-every", "--seed", "--keep", "--influx", "--commands", "kill -9"}},
		{"bench --help", []string{"--hub-binary", "--devices", "--rate", "--duration", "--json"}},
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(c.args), &out, &out); code != 0 {
			t.Errorf("%s: exit code %d", c.args, code)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not tell of %s", c.args, want)
			}
		}
	}
	var out bytes.Buffer
	run([]string{"run", "--help"}, &out, &out)
	for _, p := range firmwaresim.Profiles() {
		if !strings.Contains(out.String(), p.Name) {
			t.Errorf("run --help does not list the profile %s", p.Name)
		}
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	creds := filepath.Join(dir, "creds.csv")
	if err := os.WriteFile(creds, []byte("device,token\nsim-0001,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data.csv")
	if err := os.WriteFile(data, []byte("time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00,warm\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := "--hub wss://127.0.0.1:1 --credentials " + creds
	for _, c := range []struct{ args, want string }{
		{"run", "hub"},
		{"run --nonsense", "hint:"},
		{"run --hub ws://127.0.0.1:1 --credentials " + creds, "hint: for example wss://"},
		{"run --hub wss://127.0.0.1:1 --credentials /nonexistent.csv", "hint: telemetry-hub device add"},
		{"run " + hub + " --devices 2", "2 devices asked for, the credentials file has 1"},
		{"run " + hub + " --profile nonsense", "hint: one of office"},
		{"run " + hub + " --rate -1", "negative"},
		{"replay " + hub + " --device sim-0001 " + data, `line 3: column "v": "warm"`},
		{"replay " + hub + " --device other " + data, `"other" is not in the credentials file`},
		{"replay " + hub + " --device sim-0001 --speed fast " + data, "hint: for example 1x"},
		{"replay " + hub + " --device sim-0001 /nonexistent.csv", "no such file"},
		{"verify --hub-binary /nonexistent", "hint: go build"},
		{"verify --hub-binary /bin/true --devices 0", "above 0"},
		{"bench --hub-binary /nonexistent", "hint: go build"},
		{"bench --hub-binary /bin/true --duration 1ms", "at least 1s"},
		{"frobnicate", "unknown command"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(strings.Fields(c.args), &stdout, &stderr); code != 1 {
			t.Errorf("%s: exit code %d", c.args, code)
		}
		if text := stderr.String(); !strings.HasPrefix(text, "error: ") || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", c.args, text, c.want)
		}
		if strings.Contains(stderr.String(), "secret") {
			t.Errorf("%s tells a token", c.args)
		}
	}
}
