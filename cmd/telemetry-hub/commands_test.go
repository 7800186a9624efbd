package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/device"
)

// One device's life through the command line: against a hub that runs, then one that was killed, then on its files.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	token := strings.TrimSpace(must(t, "device", "add", "probe-1", "--kind", "climate", "--label", "site=north", "--data-dir", dir))
	c := p.connect(t, token)
	send(t, c, 100)

	wantCSV := "time,device,channel,value,unit,time_quality\n"
	for i := range 100 {
		at := fmt.Sprintf("2026-02-04T17:%02d:%02d.000000Z,probe-1", 51+i/60, i%60)
		wantCSV += fmt.Sprintf("%s,temperature,%v,Cel,\n%s,open,%t,,\n", at, float64(2000+i)/100, at, i%2 == 1)
	}
	readings := []string{"readings", "probe-1", "--format", "csv", "--data-dir", dir}
	if got := must(t, readings...); got != wantCSV {
		t.Errorf("readings of the running hub:\n%s", got)
	}
	got := must(t, "readings", "probe-1", "--channel", "temperature", "--from", "2026-02-04T17:52:00Z", "--to", "2026-02-04T17:52:02Z",
		"--format", "lineprotocol", "--data-dir", dir)
	if want := "climate,device=probe-1,site=north temperature=20.6 1770227520000000000\n" +
		"climate,device=probe-1,site=north temperature=20.61 1770227521000000000\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	both := must(t, "readings", "probe-1", "--channel", "open", "--channel", "temperature", "--format", "csv", "--data-dir", dir)
	if both != wantCSV {
		t.Errorf("two channels:\n%s", both)
	}

	d := show(t, dir, "probe-1")
	if !d.Presence.Connected || d.Presence.Since.IsZero() || d.Device.Model != "probe" || d.Books.Frames != 100 || d.Books.Readings != 200 || len(d.Schema.Channels) != 2 {
		t.Errorf("device show: %+v", d)
	}
	var s shownStatus
	mustJSON(t, &s, "status", "--format", "json", "--data-dir", dir)
	if !s.Running || s.Devices != 1 || s.Connected != 1 || s.Frames != 100 || s.Readings != 200 || s.Storage.State != "ok" || len(s.Tails) == 0 {
		t.Errorf("status: %+v", s)
	}
	for _, args := range [][]string{{"status"}, {"device", "list"}, {"device", "show", "probe-1"}, {"readings", "probe-1"}} {
		out := must(t, append(args, "--data-dir", dir)...)
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%s: a line of %d columns: %s", args, n, line)
			}
		}
		t.Logf("%s\n%.600s", args, out)
	}
	if out := must(t, "__complete", "device", "show", "--data-dir", dir, ""); !strings.HasPrefix(out, "probe-1\n") {
		t.Errorf("completion: %s", out)
	}

	must(t, "device", "revoke", "probe-1", "--data-dir", dir)
	waitFor(t, "the device to be disconnected", func() bool { return !show(t, dir, "probe-1").Presence.Connected })
	if d := show(t, dir, "probe-1"); !d.Revoked || d.Books.Frames != 100 {
		t.Errorf("after revoke: %+v", d)
	}

	if err := p.stop(t, syscall.SIGKILL); err == nil {
		t.Error("a killed hub ended well")
	}
	if _, err := os.Lstat(filepath.Join(dir, socket.Name)); err != nil {
		t.Fatalf("the killed hub left no socket: %v", err)
	}
	if got := must(t, readings...); got != wantCSV {
		t.Errorf("readings of the killed hub's files:\n%s", got)
	}
	mustJSON(t, &s, "status", "--format", "json", "--data-dir", dir)
	if s.Running || s.Connected != 0 || s.Frames != 100 {
		t.Errorf("status of the files: %+v", s)
	}
	rotated := strings.TrimSpace(must(t, "device", "rotate", "probe-1", "--data-dir", dir))
	if rotated == token || rotated == "" {
		t.Errorf("rotated token %q", rotated)
	}

	p = start(t, dir, nil)
	send(t, p.connect(t, rotated), 1)
	if n := show(t, dir, "probe-1").Books.Frames; n != 101 {
		t.Errorf("%d frames after the restart", n)
	}
	cli(t, "device", "remove", "probe-1", "--data-dir", dir).wants(t, exitFailure, "all readings of probe-1 would be deleted", "hint: say --yes")
	if d := show(t, dir, "probe-1"); d.Books.Frames == 0 {
		t.Error("it was removed without --yes")
	}
	must(t, "device", "remove", "probe-1", "--yes", "--data-dir", dir)
	cli(t, readings...).wants(t, exitNotFound, "error: no such device", "hint: telemetry-hub device list")
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, socket.Name)); !os.IsNotExist(err) {
		t.Errorf("the hub left its socket: %v", err)
	}
	if out := must(t, "device", "list", "--format", "json", "--data-dir", dir); strings.TrimSpace(out) != "[]" {
		t.Errorf("devices left: %s", out)
	}
}

func TestFleet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(t.TempDir(), "fleet.csv")
	add := []string{"device", "add", "--count", "12", "--prefix", "meter", "--kind", "meter", "--output", path, "--data-dir", dir}
	if out := must(t, add...); out != "" {
		t.Errorf("with --output it prints %q", out)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(first)).ReadAll()
	if err != nil || len(rows) != 13 || strings.Join(rows[0], ",") != "device,token" || rows[1][0] != "meter-0001" || rows[12][0] != "meter-0012" {
		t.Fatalf("%v, %v", rows, err)
	}
	cli(t, add...).wants(t, exitFailure, "error: ", "file exists", "hint: it is not overwritten")
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the file was changed: %v", err)
	}
	add[len(add)-3] += ".2"
	cli(t, add...).wants(t, exitRefused, "error: ", "exists already", "hint: ")
	if _, err := os.Stat(path + ".2"); !os.IsNotExist(err) {
		t.Errorf("a file without tokens was left: %v", err)
	}
	var list []struct{ Kind string }
	mustJSON(t, &list, "device", "list", "--format", "json", "--data-dir", dir)
	if len(list) != 12 || list[11].Kind != "meter" {
		t.Errorf("device list: %+v", list)
	}
	printed := must(t, "device", "add", "--count", "2", "--prefix", "x", "--data-dir", dir)
	if rows, err := csv.NewReader(strings.NewReader(printed)).ReadAll(); err != nil || len(rows) != 3 || rows[2][0] != "x-0002" {
		t.Errorf("printed: %v, %v", rows, err)
	}
}

func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	token := strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", dir))
	c := p.connect(t, token)
	for range 3 {
		// A number, flags and a count, but no samples.
		if _, err := c.SendEncoded(func(dst []byte, seq uint64) []byte {
			return append(dst, byte(device.TypeData), byte(seq), 0, 0xfe)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	dirFlag := []string{"--data-dir", dir}
	table := must(t, append(dirFlag, "dead-letters", "list")...)
	if strings.Count(table, "malformed") != 3 {
		t.Fatalf("dead-letters list:\n%s", table)
	}
	type letter struct {
		Position, Seq uint64
		Device        string
	}
	var letters []letter
	for line := range strings.Lines(must(t, append(dirFlag, "dead-letters", "list", "--format", "json")...)) {
		var l letter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	if len(letters) != 3 || letters[1].Seq != 2 || letters[1].Device != "probe-1" {
		t.Fatalf("%+v", letters)
	}
	position := fmt.Sprint(letters[1].Position)
	shown := must(t, append(dirFlag, "dead-letters", "show", position)...)
	for _, part := range []string{"probe-1", "malformed", "00000000  03 02 00 fe"} {
		if !strings.Contains(shown, part) {
			t.Errorf("dead-letters show lacks %q:\n%s", part, shown)
		}
	}
	cli(t, append(dirFlag, "dead-letters", "drop", position)...).wants(t, 0, "1 dead letter dropped")
	cli(t, append(dirFlag, "dead-letters", "show", position)...).wants(t, exitNotFound, "no dead letter at position "+position)
	cli(t, append(dirFlag, "dead-letters", "drop", position)...).wants(t, exitNotFound, "1 of the positions had none")
	cli(t, append(dirFlag, "dead-letters", "drop")...).wants(t, exitUsage, "either positions or --all")
	cli(t, append(dirFlag, "dead-letters", "drop", "--all")...).wants(t, 0, "2 dead letters dropped")
	if d := show(t, dir, "probe-1"); d.Books.Rejected != 3 {
		t.Errorf("the books have %d rejected", d.Books.Rejected)
	}
}

// Root works on the files of a stopped service as their owner.
func TestRootBecomesTheOwner(t *testing.T) {
	dir, err := os.MkdirTemp("", "telemetry-hub-test-") // t.TempDir is in a directory that others can't pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	owner := os.Geteuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		cli(t, "serve", "--data-dir", dir).wants(t, exitFailure, "belongs to", "hint: run it as that user")
	}
	// The file is wanted by the user who calls, in a place that the owner of the data has no access to.
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(private, "probe.csv")
	must(t, "device", "add", "probe-1", "--output", output, "--data-dir", dir)
	if info, err := os.Stat(output); err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		t.Errorf("the output: %v, %v", info, err)
	}
	cli(t, "device", "add", "probe-1", "--output", output+".2", "--data-dir", dir).wants(t, exitRefused, "exists already")
	if _, err := os.Stat(output + ".2"); !os.IsNotExist(err) {
		t.Errorf("a file without tokens was left: %v", err)
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && int(info.Sys().(*syscall.Stat_t).Uid) != owner {
			t.Errorf("%s belongs to %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	must(t, "device", "list", "--data-dir", dir)
}

// Where the data are is taken from the flag, the environment or the configuration file.
func TestConfigOfCommands(t *testing.T) {
	base := t.TempDir()
	dir, file := filepath.Join(base, "data"), filepath.Join(base, "hub.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "data_dir = %q\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "device", "add", "probe-1", "--config", file)
	for name, r := range map[string]result{
		"--config":               cli(t, "device", "list", "--format", "csv", "--config", file),
		"--data-dir":             cli(t, "device", "list", "--format", "csv", "--config", os.DevNull, "--data-dir", dir),
		"TELEMETRY_HUB_CONFIG":   cliIn(t, []string{"TELEMETRY_HUB_CONFIG=" + file}, "device", "list", "--format", "csv"),
		"TELEMETRY_HUB_DATA_DIR": cliIn(t, []string{"TELEMETRY_HUB_DATA_DIR=" + dir}, "device", "list", "--format", "csv", "--config", os.DevNull),
	} {
		if r.code != 0 || !strings.Contains(r.stdout, "\nprobe-1,never,,0,0,0,0\n") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	cli(t, "status", "--config", file+".missing").wants(t, exitFailure, "read the configuration", "hub.toml.missing")
	if out := must(t, "status", "--format", "csv", "--config", file); !strings.Contains(out, "\ndevices,1\n") || !strings.Contains(out, "\nstorage.state,ok\n") {
		t.Errorf("%s", out)
	}
}

func TestMissingDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{{"status"}, {"device", "list"}, {"readings", "x"}, {"dead-letters", "list"}, {"device", "rotate", "x"}} {
		cli(t, append(args, "--data-dir", dir)...).wants(t, exitUnreachable, "error: there is no hub's data in "+dir, "hint: ")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a command that only looks made the directory: %v", err)
	}
}
