package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// valve is a device that can be told things.
func valve() *device.Schema {
	low, high := 0.0, 100.0
	return &device.Schema{
		Channels: []device.Channel{{ID: 1, Name: "limit", Type: device.Int, Unit: "%", Writable: true}},
		Commands: []device.CommandSpec{
			{Name: "open", Args: []device.Arg{{Name: "percent", Type: device.Int, Unit: "%", Min: &low, Max: &high}}},
			{Name: "jam"},
		},
	}
}

// obey runs a valve until leave is called. It counts what it does.
func (p *process) obey(t *testing.T, token string) (done *atomic.Int32, leave func()) {
	t.Helper()
	done = new(atomic.Int32)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client.New(client.Config{
		URL: "wss://" + p.address, Token: token, TLS: roots(t, p.dir), Schema: valve(),
		OnCommand: func(_ context.Context, cmd device.Command) device.Result {
			done.Add(1)
			if cmd.Name == "jam" {
				return device.Result{Status: device.ResultFailed, Text: "jammed"}
			}
			return device.Result{Text: "open", Values: map[string]any{"percent": cmd.Args["percent"], "note": "a\x1bb"}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	var left atomic.Bool
	leave = func() {
		if left.Swap(true) {
			return
		}
		cancel()
		if err := errors.Join(<-ran, c.Close()); err != nil {
			t.Errorf("the valve: %v", err)
		}
	}
	t.Cleanup(leave)
	waitFor(t, "the valve to connect", func() bool { return c.Stats().Connected })
	return done, leave
}

func TestCommandLineOfCommands(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	in := func(args ...string) []string { return append(args, "--data-dir", dir) }
	var tokens []string
	for _, id := range []string{"v-1", "v-2", "v-3"} {
		tokens = append(tokens, strings.TrimSpace(must(t, in("device", "add", id, "--label", "site=north")...)))
	}
	cli(t, in("command", "send", "v-1", "open", "percent=40")...).wants(t, exitRefused, "the commands of v-1 are not known", "hint: a device announces them when it connects")

	done, leave := p.obey(t, tokens[0])
	waitFor(t, "the valve to be known", func() bool { s := show(t, dir, "v-1").Schema; return s != nil && len(s.Commands) == 2 })
	out := must(t, in("command", "send", "v-1", "open", "percent=40", "--wait")...)
	if out != "succeeded: open\n  note = \"a\\x1bb\"\n  percent = 40\n" {
		t.Errorf("%q", out)
	}
	cli(t, in("command", "send", "v-1", "jam", "--wait")...).wants(t, 1, "v-1 did not carry out jam: failed")
	cli(t, in("command", "send", "v-1", "open", "percent=140")...).wants(t, exitRefused, "at most 100", "hint: open takes percent (a whole number from 0 to 100, %)")
	cli(t, in("command", "send", "v-1", "close")...).wants(t, exitRefused, `no command "close"`, "hint: it has open, jam")
	cli(t, in("command", "send", "v-1", "open", "40")...).wants(t, 2, "not like key=value")
	cli(t, in("command", "send", "v-9", "open")...).wants(t, exitNotFound, "no such device", "device list")
	cli(t, in("command", "send", "v-1", "open", "--ttl", "soon")...).wants(t, 2, "--ttl")

	// Sent twice with one id it is one command.
	const id = "0193f05e-7a10-7c2b-9d41-3e88510c6faa"
	before := done.Load()
	for range 2 {
		if out := must(t, in("command", "send", "v-1", "open", "percent=1", "--id", id)...); out != id+"\n" {
			t.Errorf("%q", out)
		}
	}
	cli(t, in("command", "send", "v-1", "jam", "--id", id)...).wants(t, exitRefused, "names another command")
	waitFor(t, "it to be carried out", func() bool { return done.Load() == before+1 })

	if out := must(t, in("command", "show", id)...); !strings.Contains(out, "command   open percent=1\n") || !strings.Contains(out, "succeeded since") {
		t.Errorf("%s", out)
	}
	if out := must(t, in("command", "show", id, "--format", "csv")...); !strings.Contains(out, "\nargs.percent,1\n") {
		t.Errorf("%s", out)
	}
	cli(t, in("command", "show", "0193f05e-7a10-7c2b-9d41-3e88510c6fab")...).wants(t, exitNotFound, "there is no command")
	for line, want := range map[string]string{
		"command send v-1": "open\njam\n", "command send v-1 open": "percent=\n", "setting set v-1": "limit=\n", "setting clear v-1": "limit\n", "readings v-1 --channel": "limit\n",
		"command list --state": "queued\nsent\n", "command show": id + "\topen for v-1, succeeded\n", "audit --device": "v-1\nv-2\nv-3\n",
	} {
		if out := must(t, append(append([]string{"__complete", "--data-dir", dir}, strings.Fields(line)...), "")...); !strings.Contains(out, want) {
			t.Errorf("completion of %s: %s", line, out)
		}
	}

	// Offline, and without a hub.
	leave()
	waitFor(t, "the valve to be gone", func() bool { return !show(t, dir, "v-1").Presence.Connected })
	queued := strings.TrimSpace(must(t, in("command", "send", "v-1", "open", "percent=2", "--ttl", "1h")...))
	other := strings.TrimSpace(must(t, in("command", "send", "v-1", "open", "percent=3", "--ttl", "1h")...))
	must(t, in("command", "cancel", other)...)
	cli(t, in("command", "cancel", other)...).wants(t, exitRefused, "is cancelled")
	must(t, in("setting", "set", "v-1", "limit=80")...)
	cli(t, in("setting", "set", "v-1", "limit=much")...).wants(t, exitRefused, "limit must be a whole number")
	if out := must(t, in("setting", "list", "v-1")...); !strings.Contains(out, "limit") || !strings.Contains(out, "80") || !strings.Contains(out, "pending") {
		t.Errorf("%s", out)
	}
	if err := p.stop(t, 15); err != nil {
		t.Fatal(err)
	}
	var list []struct{ ID, By, From string }
	mustJSON(t, &list, in("command", "list", "v-1", "--state", "queued", "--format", "json")...)
	if len(list) != 1 || list[0].ID != queued || list[0].From != "command line" || list[0].By == "" {
		t.Errorf("%+v", list)
	}
	if out := must(t, in("command", "list", "--limit", "3")...); strings.Count(out, "\n") != 4 || !strings.Contains(out, "open percent=2") {
		t.Errorf("%s", out)
	}
	p = start(t, dir, nil)
	_, leave = p.obey(t, tokens[0])
	waitFor(t, "the queued one to be carried out", func() bool {
		mustJSON(t, &list, in("command", "list", "v-1", "--state", "succeeded", "--format", "json")...)
		return len(list) == 3 && list[0].ID == queued
	})
	waitFor(t, "the limit to be refused", func() bool { // by a client without OnSet
		return strings.Contains(must(t, in("setting", "list", "v-1")...), "refused")
	})
	must(t, in("setting", "clear", "v-1", "limit")...)

	// To many.
	if out := must(t, in("command", "send", "--label", "site=north", "jam", "--dry-run")...); out != "v-1\nv-2\nv-3\n" {
		t.Errorf("%q", out)
	}
	r := cli(t, in("command", "send", "--devices", "v-1,v-2", "open", "percent=5", "--wait", "--rate", "100")...)
	r.wants(t, 1, "1 of 2 devices succeeded", "1 device of 2 did not")
	if !strings.Contains(r.stdout, "v-2     not accepted") {
		t.Errorf("%s", r.stdout)
	}
	r = cli(t, in("command", "send", "--devices", "v-1,v-2", "open", "percent=6", "--rate", "100", "--format", "csv")...)
	r.wants(t, 1, "1 of 2 devices accepted")
	if !strings.HasPrefix(r.stdout, "device,state,id,text\nv-1,") || !strings.Contains(r.stdout, "\nv-2,not accepted,,") {
		t.Errorf("%s", r.stdout)
	}
	cli(t, in("command", "send", "--label", "site=south", "jam")...).wants(t, exitNotFound, "no device is like that")
	cli(t, in("command", "send", "--devices", "v-1,v-9", "jam")...).wants(t, exitNotFound, "no such device")
	_, _ = p.obey(t, tokens[1])
	waitFor(t, "the second valve to be known", func() bool { s := show(t, dir, "v-2").Schema; return s != nil && len(s.Commands) == 2 })
	cli(t, in("command", "send", "--label", "site=north", "jam", "--stop-on-failure", "--rate", "1")...).wants(t, 1, "0 of 3 devices succeeded")
	leave()

	// Ctrl-C takes back what is still queued.
	waitFor(t, "the valve to be gone", func() bool { return !show(t, dir, "v-1").Presence.Connected })
	stopped := exec.Command(program("telemetry-hub"), in("command", "send", "--devices", "v-1", "open", "percent=7", "--ttl", "1h", "--wait")...)
	var stderr lines
	stopped.Stderr = &stderr
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to be queued", func() bool {
		return strings.Contains(must(t, in("command", "list", "v-1", "--state", "queued")...), "open percent=7")
	})
	if err := stopped.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = stopped.Wait() // the code says how it ended
	result{"", stderr.String(), stopped.ProcessState.ExitCode()}.wants(t, 1, "0 of 1 device succeeded", "it was stopped")
	if out := must(t, in("command", "list", "v-1", "--state", "cancelled")...); !strings.Contains(out, "open percent=7") {
		t.Errorf("%s", out)
	}

	var trail []struct {
		At           time.Time
		Action, Text string
	}
	mustJSON(t, &trail, in("audit", "--device", "v-1", "--limit", "1000", "--format", "json")...)
	if len(trail) < 20 || trail[len(trail)-1].Action != "device added" || !strings.Contains(must(t, in("audit", "--since", "1h")...), "command queued") {
		t.Errorf("%d entries, the first %+v", len(trail), trail[len(trail)-1])
	}
	jams := 0
	for _, e := range trail {
		if e.Action == "command queued" && e.Text == "jam" && time.Since(e.At) < time.Hour {
			jams++
		}
	}
	if jams != 2 {
		t.Errorf("v-1 was to jam %d times", jams)
	}
	mustJSON(t, &trail, in("audit", "--device", "v-3", "--format", "json")...)
	if len(trail) != 1 {
		t.Errorf("v-3 was sent to though it was to stop: %+v", trail)
	}
}
