package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var arrived = regexp.MustCompile(`7/7 connected  [1-9][0-9,]* frames  [1-9][0-9,]* readings`)

func TestDemo(t *testing.T) {
	tmp := t.TempDir()
	var stdout, stderr lines
	cmd := exec.Command(program("telemetry-hub"), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s\n%s", &stdout, &stderr)
		}
	})
	waitFor(t, "readings", func() bool { return arrived.MatchString(stdout.String()) })

	// The commands it prints work as they stand.
	var dir string
	commands := 0
	for line := range strings.Lines(stdout.String()) {
		line = strings.TrimSpace(line)
		if d, ok := strings.CutPrefix(line, "export "+envPrefix+"DATA_DIR="); ok {
			dir = d
		}
		if !strings.HasPrefix(line, program("telemetry-hub")) {
			continue
		}
		commands++
		shell := exec.Command("sh", "-c", line)
		shell.Env = append(os.Environ(), envPrefix+"DATA_DIR="+dir)
		if out, err := shell.CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if commands < 3 {
		t.Errorf("%d commands were printed", commands)
	}

	// The link is used up by whoever opens it first, a browser that looks ahead perhaps; the password lets everybody else in.
	shown := regexp.MustCompile(`(https://\S+)/login#\S+\n\n.* as (\S+) with the password (\S+)\n`).FindStringSubmatch(stdout.String())
	if shown == nil {
		t.Fatal("no way to log in is shown")
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for range 2 {
		body := fmt.Sprintf(`{"user":%q,"password":%q}`, shown[2], shown[3])
		resp, err := browser.Post(shown[1]+"/api/v1/session", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("logging in as %s: %s", shown[2], resp.Status)
		}
	}

	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if !strings.HasSuffix(stdout.String(), "\nThe demo is over.\n") || stderr.String() != "" {
		t.Errorf("it ended with %q, %q", stdout.String(), stderr.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
