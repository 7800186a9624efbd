package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// A reader that has enough, such as head, ends the command without a word.
func TestReadingsIntoAClosedPipe(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	c := p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir)))
	send(t, c, 3000)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program("telemetry-hub"), "readings", "probe-1", "--data-dir", dir)
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	_ = cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("%v, %s", cmd.ProcessState, &stderr)
	}
	// That the output can't be written is not the hub's fault.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, format := range []string{"csv", "table"} {
		stderr.Reset()
		cmd := exec.Command(program("telemetry-hub"), "readings", "probe-1", "--format", format, "--data-dir", dir)
		cmd.Stdout, cmd.Stderr = full, &stderr
		if _ = cmd.Run(); cmd.ProcessState.ExitCode() != exitFailure || !strings.HasPrefix(stderr.String(), "error: write /dev/stdout: no space left") {
			t.Errorf("%s: %v, %s", format, cmd.ProcessState, &stderr)
		}
	}
}

// The memory that readings needs, in the hub and in the command, does not grow with what it prints.
func TestReadingsMemory(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	c := p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir)))
	const frames, samples = 300, device.MaxSamples
	d := &device.Data{Columns: []device.Column{{ID: 1, Type: device.Int, Bits: make([]uint64, samples)}}}
	for i := range frames {
		d.Times = d.Times[:0]
		for k := range samples {
			d.Times = append(d.Times, firstReading.Add(time.Duration(i*samples+k)*time.Second).UnixMicro())
		}
		if _, err := c.Send(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	readings := func(args ...string) (bytes int64, kib int64) {
		cmd := exec.Command(program("telemetry-hub"), append([]string{"readings", "probe-1", "--format", "csv", "--data-dir", dir}, args...)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, out)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Fatal(err)
		}
		return n, int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	_, fewKiB := readings("--to", firstReading.Add(samples*time.Second).Format(time.RFC3339))
	hubBefore := p.peakKiB(t)
	printed, manyKiB := readings()
	if want := int64(frames * samples * len("2026-02-04T17:51:00.000000Z,probe-1,temperature,0\n")); printed < want {
		t.Fatalf("%d bytes were printed, want %d", printed, want)
	}
	// 17 MB were printed; the race detector's bookkeeping makes the rest uneven.
	if grown := manyKiB - fewKiB; grown > 8<<10 {
		t.Errorf("the command grew by %d KiB", grown)
	}
	if grown := p.peakKiB(t) - hubBefore; grown > 8<<10 {
		t.Errorf("the hub grew by %d KiB", grown)
	}
}

// peakKiB is the most memory the process has ever had.
func (p *process) peakKiB(t *testing.T) (kib int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

func TestBounds(t *testing.T) {
	now := time.Date(2026, 2, 4, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		since, from, to string
		first, last     time.Time
		fails           bool
	}{
		{},
		{since: "1h", first: now.Add(-time.Hour)},
		{since: "7d", first: now.Add(-7 * 24 * time.Hour)},
		{from: "2026-02-04", first: now.Add(-12 * time.Hour)},
		{from: "2026-02-04T13:00:00+01:00", to: "2026-02-04T12:00:00.000000001Z", first: now, last: now.Add(1)},
		{since: "1h", from: "2026-02-04", fails: true},
		{since: "1h", to: "2026-02-04", fails: true},
		{since: "-1h", fails: true},
		{since: "yesterday", fails: true},
		{from: "2026-02-30", fails: true},
		{to: "noon", fails: true},
		{from: "2026-02-05", to: "2026-02-04", fails: true},
		{from: "2026-02-05", to: "2026-02-05", fails: true},
	} {
		first, last, err := bounds(c.since, c.from, c.to, now)
		if (err != nil) != c.fails || !c.fails && (!first.Equal(c.first) || !last.Equal(c.last)) {
			t.Errorf("%+v: %v, %v, %v", c, first, last, err)
		}
	}
}

func TestUsage(t *testing.T) {
	cli(t, "readings").wants(t, exitUsage, "DEVICE is missing")
	cli(t, "readings", "x", "--format", "xml").wants(t, exitUsage, `invalid argument "xml" for "--format" flag: there are table, json, csv, lineprotocol`)
	cli(t, "readings", "x", "--since", "1h", "--to", "2026-02-04").wants(t, exitUsage, "--since goes without", "hint: telemetry-hub readings --help")
	cli(t, "readings", "x", "--since", "1h", "--since", "2h").wants(t, exitUsage, `"--since" flag: it is 1h already`)
	cli(t, "device", "lst").wants(t, exitUsage, `unknown command "lst"`, "did you mean list?")
	cli(t, "device", "lst", "--data-dir", "x").wants(t, exitUsage, `unknown command "lst"`, "did you mean list?")
	cli(t, "device", "--data-dir", "x").wants(t, exitUsage, "unknown flag: --data-dir")
	cli(t, "device", "add").wants(t, exitUsage, "ID is missing")
	cli(t, "device", "add", "x", "--count", "3").wants(t, exitUsage, "both were given")
	cli(t, "device", "add", "--count", "3").wants(t, exitUsage, "--prefix")
	cli(t, "device", "add", "x", "--label", "site").wants(t, exitUsage, "--label site is not like k=v")
}

// A flipped bit in the history makes readings go missing that the journal does not have: readings prints the others and exits with
// 1, as its help says, and status tells.
func TestReadingsOfADamagedHistory(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	c := p.connect(t, strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir)))
	send(t, c, 3000)
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "history.db")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	// Blocks are the places where the device's name stands with much behind it; every third is hit.
	id, n := []byte("\x07probe-1"), 0
	for at := bytes.Index(whole, id); at >= 0; n++ {
		next := bytes.Index(whole[at+1:], id)
		if (next < 0 || next > 500) && n%3 == 0 {
			whole[at+200] ^= 1
		}
		if at += 1 + next; next < 0 {
			break
		}
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	r := cli(t, "readings", "probe-1", "--format", "csv", "--data-dir", dir)
	r.wants(t, exitFailure, "error: not all readings of probe-1", "hint: ")
	if n := strings.Count(r.stdout, "\n"); n < 500 || n > 5900 {
		t.Errorf("%d lines of 6001", n)
	}
	status := strings.Join(strings.Fields(must(t, "status", "--data-dir", dir)), " ")
	if !strings.Contains(status, "blocks of history.db are damaged") || !strings.Contains(status, "of probe-1 from 20") {
		t.Errorf("status: %s", status)
	}
}
