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

	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
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

// inline finds code in running text.
var inline = regexp.MustCompile("`([^`]+)`")

// mentions returns the commands in the running text of a document: code that begins with one of the programs.
func mentions(t *testing.T, path string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	prose := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(text), "")
	for _, m := range inline.FindAllStringSubmatch(prose, -1) {
		command := strings.TrimPrefix(strings.Join(strings.Fields(m[1]), " "), "sudo ")
		if strings.HasPrefix(command, "telemetry-hub ") || strings.HasPrefix(command, "firmware-sim ") {
			commands = append(commands, command)
		}
	}
	return commands
}

// script takes the commands out of a document's blocks that are to be run one after the other, without those that have places
// of their own: serve, which goes on, what CI runs anyway, and proofs, which take long.
func script(t *testing.T, path string) (serve, use string, proofs []string) {
	t.Helper()
	for _, block := range shellBlocks(t, path) {
		for line := range strings.Lines(block) {
			switch words := append(strings.Fields(line), "", ""); {
			case words[0] == "go" || words[0] == "make" || strings.HasPrefix(line, "export PATH="):
			case words[0] == "telemetry-hub" && words[1] == "serve":
				serve = line
			case words[0] == "firmware-sim" && words[1] != "run" && words[1] != "replay":
				proofs = append(proofs, line)
			default:
				use += line
			}
		}
	}
	if serve == "" || strings.Count(use, "telemetry-hub ") < 5 || len(proofs) == 0 {
		t.Fatalf("the README lacks commands: serve %q, proofs %q, and %s", serve, proofs, use)
	}
	return serve, use, proofs
}

// The commands of the README are run as they stand there, those in its running text as well, but for the port.
func TestREADME(t *testing.T) {
	const readme = "../../README.md"
	serve, use, proofs := script(t, readme)
	db := influxtest.Start(t)
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
		cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), envPrefix+"DATA_DIR=data",
			envPrefix+"INFLUX_URL="+db.URL, envPrefix+"INFLUX_BUCKET="+influxtest.Database)
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
	for _, command := range proofs {
		understood(t, command)
	}
	// The running text speaks of a room and its setpoint, and of a pump.
	const devices = `
		telemetry-hub device add pump-7
		telemetry-hub device add room-1
		telemetry-hub device rotate room-1 --output room.csv
		firmware-sim run --hub wss://127.0.0.1:8443 --insecure --credentials room.csv --devices 1 --rate 5 --profile office --duration 1s`
	if out, err := run(devices).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, command := range mentions(t, readme) {
		understood(t, command)
		if !runs(command) {
			continue
		}
		if out, err := run(command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// runs says whether a command in running text can be run as it stands: others only name a command, or have placeholders.
func runs(command string) bool {
	words := strings.Fields(command)
	if words[0] != "telemetry-hub" || words[1] == "serve" || words[1] == "demo" || regexp.MustCompile(`\b[A-Z]{2,}\b|[{…]`).MatchString(command) {
		return false
	}
	root := newRoot()
	root.InitDefaultCompletionCmd(words[1:]...)
	cmd, args, err := root.Find(words[1:])
	return err == nil && (len(args) > 0 || cmd.Args == nil || cmd.Args(cmd, nil) == nil)
}

// Commands in the running text of other documents are understood as well.
func TestMentions(t *testing.T) {
	found := 0
	for _, path := range []string{"../../README.md", "../../systemd/README.md", "../../device/PROTOCOL.md", "../../CHANGELOG.md"} {
		for _, command := range mentions(t, path) {
			found++
			understood(t, command)
		}
	}
	if found < 5 {
		t.Errorf("%d commands were found", found)
	}
}

// Files and pictures that the documents point to are there, and the picture of the page is shown.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	found := map[string]bool{}
	for _, path := range []string{"../../README.md", "../../systemd/README.md", "../../device/PROTOCOL.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if !found["dashboard/overview.png"] {
		t.Error("the README does not show the page")
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

// understood checks, without running it, that a program knows a command with its flags, and telemetry-hub also how many
// arguments it takes, unless none are given.
func understood(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if out, err := exec.Command(program(words[0]), append(words[1:], "--help")...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	if words[0] != "telemetry-hub" {
		return
	}
	root := newRoot()
	root.InitDefaultCompletionCmd(words[1:]...)
	cmd, rest, err := root.Find(words[1:])
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if args := cmd.Flags().Args(); err == nil && len(args) > 0 {
		err = cmd.ValidateArgs(args)
	}
	if err != nil {
		t.Errorf("%s: %v", command, err)
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
