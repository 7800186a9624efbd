package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A hub is used from elsewhere with its URL and an API key, as far as the key's role goes.
func TestHubElsewhere(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	p := start(t, dir, nil)
	send(t, p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir))), 50)
	keyFile := func(role string) string {
		path := filepath.Join(files, role)
		key := must(t, "apikey", "add", role, "--role", role, "--data-dir", dir)
		if err := os.WriteFile(path, []byte("\ufeff"+key), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	url, ca := "https://"+p.address, filepath.Join(dir, "tls", "ca.pem")
	viewer, admin := keyFile("viewer"), keyFile("admin")
	as := func(key string, args ...string) result {
		return cli(t, append(args, "--url", url, "--key-file", key, "--ca", ca)...)
	}
	if r := as(viewer, "device", "list"); r.code != 0 || !strings.Contains(r.stdout, "probe-1") {
		t.Errorf("%+v", r)
	}
	for _, format := range []string{"table", "csv", "json", "lineprotocol"} {
		want := must(t, "readings", "probe-1", "--format", format, "--data-dir", dir)
		if r := as(viewer, "readings", "probe-1", "--format", format); r.code != 0 || r.stdout != want || !strings.Contains(want, "20.49") {
			t.Errorf("readings as %s: %+v", format, r)
		}
	}
	as(viewer, "readings", "probe-1", "--channel", "volume").wants(t, exitNotFound, `no channel "volume"`, "hint: its channels are temperature, open")
	as(viewer, "device", "revoke", "probe-1").wants(t, exitRefused, "needs the role admin")
	as(admin, "device", "revoke", "probe-1").wants(t, 0, "probe-1 is revoked")
	if r := as(admin, "audit", "--limit", "1", "--format", "csv"); !strings.Contains(r.stdout, "API key admin") || !strings.Contains(r.stdout, "device revoked") {
		t.Errorf("%+v", r)
	}
	if r := as(admin, "user", "list", "--format", "json"); r.stdout != "[]\n" {
		t.Errorf("%+v", r)
	}
	if r := as(viewer, "status"); r.code != 0 || !strings.Contains(r.stdout, "of 1 device") {
		t.Errorf("%+v", r)
	}
	if r := as(viewer, "certificate", "show", "--format", "csv"); !strings.Contains(r.stdout, "public_key,"+p.publicKey) {
		t.Errorf("%+v", r)
	}
	if out := must(t, "__complete", "--url", url, "--key-file", viewer, "--ca", ca, "device", "show", ""); !strings.HasPrefix(out, "probe-1\n") {
		t.Errorf("completion: %s", out)
	}
	other := filepath.Join(files, "other")
	if err := os.WriteFile(other, []byte("another-hubs-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	as(other, "status").wants(t, exitRefused, "not logged in", "hint: the key in --key-file")
	cli(t, "status", "--url", url, "--key-file", viewer).wants(t, exitUnreachable, "certificate", "hint: ", "--ca")
	cli(t, "status", "--url", strings.Replace(url, "127.0.0.1", "localhost.", 1), "--key-file", viewer, "--ca", ca).wants(t, exitUnreachable, "error: ask the hub: ")
	cli(t, "status", "--url", "https://127.0.0.1:1", "--key-file", viewer).wants(t, exitUnreachable, "connection refused")
	cli(t, "status", "--url", url).wants(t, exitUsage, "--url needs --key-file", "hint: ")
	cli(t, "status", "--url", url, "--key-file", viewer, "--data-dir", dir).wants(t, exitUsage, "--url goes without --data-dir")
	cli(t, "status", "--ca", ca).wants(t, exitUsage, "go with --url")
	cli(t, "status", "--url", "http://hub", "--key-file", viewer).wants(t, exitUsage, "is not like https://HOST:PORT")
	cli(t, "status", "--url", url, "--key-file", viewer, "--ca", viewer).wants(t, exitFailure, "no certificate in PEM")
	cli(t, "status", "--url", url, "--key-file", ca, "--ca", ca).wants(t, exitFailure, "ca.pem has no API key")
	cli(t, "status", "--url", url, "--key-file", "missing").wants(t, exitFailure, "missing: no such file")
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	c := p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir)))
	send(t, c, 2)
	cmd := exec.Command(program("telemetry-hub"), "readings", "probe-1", "--channel", "open", "--from", "2026-02-04", "--follow", "--format", "json", "--data-dir", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr lines
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i, want := range []string{`:00.000000Z","device":"probe-1","channel":"open","value":false}`, `:01.0`, `:00:00.0`} {
		if i == 2 {
			sendAt(t, c, firstReading.Add(9*60e9), 1)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("line %d is %q, want %q", i, lines.Text(), want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("one more: %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil || stderr.String() != "" {
		t.Errorf("%v: %s", err, &stderr)
	}
	cli(t, "readings", "probe-1", "--follow", "--to", "2026-02-04", "--data-dir", dir).wants(t, exitUsage, "--follow goes without --to")
}
