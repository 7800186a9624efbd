package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// shellBlocks returns the fenced shell commands of a document.
func shellBlocks(t *testing.T, path string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// The commands of the README are run as they stand there, but for the port. Those that make the programs, the demo and the
// tests have their own places in CI.
func TestREADME(t *testing.T) {
	blocks := shellBlocks(t, "../../README.md")
	if len(blocks) != 7 || blocks[0] != "go run ./cmd/telemetry-hub demo\nmake test\n" || !strings.HasPrefix(blocks[1], "make build\n") {
		t.Fatalf("the README has other commands than this test knows: %q", blocks)
	}
	serve, use, proofs := blocks[2], blocks[3]+blocks[4]+blocks[5], blocks[6]

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	dir := t.TempDir()
	run := func(script string) *exec.Cmd {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(script, "8443", port))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
		return cmd
	}
	var log lines
	hub := run("exec " + serve)
	hub.Stdout, hub.Stderr = &log, &log
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hub.Process.Kill()
		_ = hub.Wait()
		if t.Failed() {
			t.Logf("the hub:\n%s", &log)
		}
	})
	waitFor(t, "the hub", func() bool { return strings.Contains(log.String(), "telemetry-hub ready: ") })
	if out, err := run(use).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if users, err := run("telemetry-hub user list --data-dir data").CombinedOutput(); err != nil || !strings.Contains(string(users), "ada") {
		t.Errorf("users: %v\n%s", err, users)
	}
	csv, err := os.ReadFile(filepath.Join(dir, "sim-0001.csv"))
	if err != nil || strings.Count(string(csv), "\n") < 10 {
		t.Errorf("sim-0001.csv: %v\n%s", err, csv)
	}
	for command := range strings.Lines(proofs) {
		understood(t, command)
	}
}

// The commands that need a system to be installed on are at least understood.
func TestServiceREADME(t *testing.T) {
	commands := 0
	for _, block := range shellBlocks(t, "../../systemd/README.md") {
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "sudo telemetry-hub "); ok {
				commands++
				command, _, _ = strings.Cut(command, "#")
				understood(t, "telemetry-hub "+command)
			}
		}
	}
	if commands == 0 {
		t.Error("no commands were found")
	}
}

// understood checks that a program knows the flags of a command, without running it.
func understood(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if out, err := exec.Command(program(words[0]), append(words[1:], "--help")...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
}

// Every command teaches: what it does, in full, and an example that it understands itself.
func TestHelp(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Short == "" {
			t.Errorf("%s says nothing of itself", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && cmd.Example == "" && cmd.Name() != "demo" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for example := range strings.Lines(cmd.Example) {
			example, _, _ = strings.Cut(strings.TrimSpace(example), "  ")
			example, _, _ = strings.Cut(example, " | ")
			example, _, _ = strings.Cut(example, " > ")
			if _, after, ok := strings.Cut(example, "telemetry-hub "); ok {
				understood(t, "telemetry-hub "+after)
			}
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
				t.Errorf("%s: a line of %d columns: %s", cmd.CommandPath(), len(line), line)
			}
		}
	}
	visit(newRoot())
}
