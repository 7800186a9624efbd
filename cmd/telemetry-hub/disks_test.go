//go:build disks

// These tests need root: they mount small file systems. make disks runs them in a mount namespace of their own.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// small are the file systems a hub has to get along on.
var small = []struct {
	name  string
	bytes int
	mount func(t *testing.T, dir string)
}{
	{"ext4 of 64 MB", 64 << 20, mountExt4},
	{"tmpfs of 32 MB", 32 << 20, func(t *testing.T, dir string) { mount(t, dir, "-t", "tmpfs", "-o", "size=32m", "tmpfs") }},
}

// mountExt4 mounts a file in memory, so that no other disk makes it slow.
func mountExt4(t *testing.T, dir string) {
	memory := t.TempDir()
	mount(t, memory, "-t", "tmpfs", "-o", "size=70m", "tmpfs")
	image := filepath.Join(memory, "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	system(t, "mkfs.ext4", "-q", "-F", image)
	mount(t, dir, "-o", "loop", image)
}

func mount(t *testing.T, dir string, args ...string) {
	system(t, "mount", append(args, dir)...)
	t.Cleanup(func() { system(t, "umount", dir) })
}

func system(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// texts is the schema of a device whose frames can't be made shorter.
var texts = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "text", Type: device.String}}}

const samplesInFrame = 12 // of 1 KiB: few frames fill a disk

// disk is a hub on a small file system, with one device.
type disk struct {
	t      *testing.T
	root   string // of the file system
	data   string // the hub's directory
	p      *process
	c      *client.Client
	key    string // to the REST API
	frames int    // sent
}

func newDisk(t *testing.T, mount func(*testing.T, string), environ ...string) *disk {
	d := &disk{t: t, root: t.TempDir()}
	mount(t, d.root)
	d.data = filepath.Join(d.root, "data")
	d.p = start(t, d.data, environ)
	token := strings.TrimSpace(must(t, "device", "add", "probe-1", "--data-dir", d.data))
	d.key = strings.TrimSpace(must(t, "apikey", "add", "script", "--role", "viewer", "--data-dir", d.data))
	d.device(token)
	return d
}

// device connects a device with a buffer that holds more than the file system.
func (d *disk) device(token string) {
	c, err := client.New(client.Config{
		URL: "wss://" + d.p.address, Token: token, TLS: roots(d.t, d.data), Schema: texts, BufferBytes: 256 << 20, BacklogRate: 1e6,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(d.t.Context()) }()
	d.t.Cleanup(func() {
		if err := errors.Join(<-done, c.Close()); err != nil {
			d.t.Errorf("the device: %v", err)
		}
	})
	waitFor(d.t, "the device to connect", func() bool { return c.Stats().Connected })
	d.c = c
}

// send has the device send frames, a reading a second.
func (d *disk) send(frames int) {
	d.t.Helper()
	random := rand.NewChaCha8([32]byte{byte(d.frames)})
	for range frames {
		message := &device.Data{Columns: []device.Column{{ID: 1, Type: device.String}}}
		for i := range samplesInFrame {
			b := make([]byte, device.MaxString/2)
			_, _ = random.Read(b) // never fails
			message.Times = append(message.Times, d.at(d.frames*samplesInFrame+i).UnixMicro())
			message.Columns[0].Text = append(message.Columns[0].Text, fmt.Appendf(nil, "%x", b))
		}
		if _, err := d.c.Send(message); err != nil {
			d.t.Fatal(err)
		}
		d.frames++
	}
}

func (d *disk) at(sample int) time.Time { return firstReading.Add(time.Duration(sample) * time.Second) }

// acked waits until everything is acknowledged; each ten seconds have to bring some.
func (d *disk) acked() {
	d.t.Helper()
	for before := d.c.Stats(); before.Unacked > 0; {
		deadline := time.Now().Add(10 * time.Second)
		for d.c.Stats().Acked == before.Acked {
			if time.Now().After(deadline) {
				files, _ := exec.Command("ls", "-lsR", d.data).Output()
				d.t.Fatalf("nothing was acknowledged in ten seconds: %+v\n%s\n%s", before, must(d.t, "status", "--data-dir", d.data), files)
			}
			time.Sleep(20 * time.Millisecond)
		}
		before = d.c.Stats()
	}
}

// readable checks that people and scripts can read, the newest reading included, and that the hub answers.
func (d *disk) readable() {
	d.t.Helper()
	newest := d.c.Stats().Acked // all before it are
	if newest == 0 {
		return
	}
	at := d.at(int(newest-1) * samplesInFrame)
	out := must(d.t, "readings", "probe-1", "--from", at.Format(time.RFC3339), "--to", at.Add(samplesInFrame*time.Second).Format(time.RFC3339), "--format", "csv", "--data-dir", d.data)
	if n := strings.Count(out, "\n") - 1; n != samplesInFrame {
		d.t.Errorf("%d readings of frame %d, which is acknowledged", n, newest)
	}
	must(d.t, "status", "--data-dir", d.data)
	must(d.t, "device", "list", "--data-dir", d.data)
	d.rest("/api/v1/devices")
	d.rest(fmt.Sprintf("/api/v1/devices/probe-1/readings?from=%d&to=%d", at.UnixMilli(), at.Add(time.Hour).UnixMilli()))
}

func (d *disk) rest(path string) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), "GET", "https://"+d.p.address+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+d.key)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: roots(d.t, d.data), DisableKeepAlives: true}}
	response, err := web.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	if b, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || !json.Valid(b) {
		d.t.Errorf("GET %s: %s, %v\n%.300s", path, response.Status, err, b)
	}
}

func (d *disk) status() (s shownStatus) {
	d.t.Helper()
	mustJSON(d.t, &s, "status", "--format", "json", "--data-dir", d.data)
	return s
}

var alarmLine = regexp.MustCompile(`msg=alarm about="?([^"=]*)"? text`)

// alarms returns how often the hub has raised each alarm.
func (d *disk) alarms() map[string]int {
	raised := map[string]int{}
	for _, m := range alarmLine.FindAllStringSubmatch(d.p.stderr.String(), -1) {
		raised[m[1]]++
	}
	return raised
}

func (d *disk) once() {
	d.t.Helper()
	for about, n := range d.alarms() {
		if n != 1 {
			d.t.Errorf("the alarm about %s was raised %d times", about, n)
		}
	}
}

// fill has somebody else take all the room there is, and returns what gives it back.
func (d *disk) fill() (empty func()) {
	d.t.Helper()
	name := filepath.Join(d.root, "other")
	f, err := os.Create(name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); len(piece) > 0; {
		if _, err = f.Write(piece); errors.Is(err, syscall.ENOSPC) {
			piece = piece[:len(piece)/2]
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
	_ = f.Sync() // there is no room for it to matter
	return func() {
		if err := os.Remove(name); err != nil {
			d.t.Fatal(err)
		}
	}
}

// The hub receives twice what the disk holds. It goes on all the time, whether its limits fit the disk or not.
func TestDiskFilledByTheHub(t *testing.T) {
	for _, fs := range small {
		for name, environ := range map[string][]string{
			"default limits":   nil,
			"too large limits": {"TELEMETRY_HUB_JOURNAL_MAX_BYTES=1GiB", "TELEMETRY_HUB_HISTORY_MAX_BYTES=1GiB"},
		} {
			t.Run(fs.name+"/"+name, func(t *testing.T) {
				d := newDisk(t, fs.mount, environ...)
				const step = 400
				for i := 0; d.frames*samplesInFrame*device.MaxString < 2*fs.bytes; i++ {
					d.send(step)
					d.acked()
					if i%4 == 0 {
						d.readable()
					}
				}
				d.once()
				raised := d.alarms()
				if _, warned := raised["limits"]; warned != (environ != nil) {
					t.Errorf("alarms: %v", raised)
				}
				if raised["journal"]+raised["history"]+raised["hub.db"] > 0 {
					t.Errorf("it filled the disk: %v", raised)
				}
				t.Logf("alarms: %v, status:\n%s", raised, must(t, "status", "--data-dir", d.data))
			})
		}
	}
}

// Somebody else fills the disk to its last byte. The hub stops acknowledging, says so once, can be read, and goes on when
// there is room; also after a restart in between.
func TestDiskFilledByOthers(t *testing.T) {
	for _, fs := range small {
		t.Run(fs.name, func(t *testing.T) {
			d := newDisk(t, fs.mount)
			d.send(100)
			d.acked()
			must(t, "device", "add", "probe-2", "--data-dir", d.data)
			for round := range 3 {
				empty := d.fill()
				d.send(100)
				waitFor(t, "the hub to see that it can't write", func() bool { return d.status().Storage.State == "failing" })
				for range 3 { // for a while
					d.readable()
					time.Sleep(time.Second)
				}
				if round == 0 { // what keeps people out works on a full disk
					must(t, "device", "revoke", "probe-2", "--data-dir", d.data)
				}
				if round == 2 {
					d.restart()
					d.readable()
				}
				empty()
				d.acked()
				if s := d.status(); s.Storage.State != "ok" {
					t.Errorf("storage is %s: %s", s.Storage.State, s.Storage.Error)
				}
				d.readable()
				if round == 0 {
					d.once()
					if raised := d.alarms(); raised["journal"] != 1 {
						t.Errorf("alarms: %v", raised)
					}
				}
			}
			out := must(t, "readings", "probe-1", "--format", "csv", "--data-dir", d.data)
			if n := strings.Count(out, "\n") - 1; n != d.frames*samplesInFrame {
				t.Errorf("%d readings, %d were acknowledged", n, d.frames*samplesInFrame)
			}
			t.Logf("alarms: %v, status:\n%s", d.alarms(), must(t, "status", "--data-dir", d.data))
		})
	}
}

// restart ends the hub in order, reads without one, and starts it again on the same address.
func (d *disk) restart() {
	d.t.Helper()
	_ = d.p.stop(d.t, syscall.SIGTERM) // it may say that the last frames could not be written
	acked := int(d.c.Stats().Acked)
	out := must(d.t, "readings", "probe-1", "--format", "csv", "--data-dir", d.data)
	if n := strings.Count(out, "\n") - 1; n < acked*samplesInFrame {
		d.t.Errorf("without a hub, %d readings, %d were acknowledged", n, acked*samplesInFrame)
	}
	must(d.t, "status", "--data-dir", d.data)
	d.p = start(d.t, d.data, nil, "--listen", d.p.address)
	waitFor(d.t, "the device to return", func() bool { return d.c.Stats().Connected })
}

// A disk that takes seconds to write is said to be slow while it is, not afterwards.
func TestDiskThatIsSlow(t *testing.T) {
	d := newDisk(t, mountExt4)
	d.send(10)
	d.acked()
	if s := d.status(); s.Storage.State != "ok" {
		t.Fatalf("storage %+v", s.Storage)
	}
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = true
			system(t, "fsfreeze", "-u", d.root)
		}
	}
	system(t, "fsfreeze", "-f", d.root)
	t.Cleanup(thaw)
	d.send(10)
	waitFor(t, "the alarm", func() bool {
		s := d.status()
		return s.Storage.State == "slow" && s.Storage.Error != "" && len(s.Alarms) > 0
	})
	thaw()
	d.acked()
	d.once()
	if raised := d.alarms(); raised["slow disk"] != 1 {
		t.Errorf("alarms: %v", raised)
	}
}
