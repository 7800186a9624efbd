package firmwaresim

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// commandDeviceConfig is what a command device needs; it is passed to its process in a file.
type commandDeviceConfig struct {
	Hub    string `json:"hub"` // wss://HOST:PORT
	CA     string `json:"ca"`  // PEM file
	Device string `json:"device"`
	Token  string `json:"token"`
	Log    string `json:"log"`              // file in which every execution is noted
	Buffer string `json:"buffer,omitempty"` // file; empty: memory only
}

// commandDeviceSchema is what a command device can be told. Nothing but nudge and aim may be done twice.
func commandDeviceSchema() *device.Schema {
	number := func(name string) []device.Arg { return []device.Arg{{Name: name, Type: device.Int}} }
	return &device.Schema{
		Channels: []device.Channel{
			{ID: 0, Name: "frames", Type: device.Int},
			{ID: 1, Name: "level", Type: device.Int, Writable: true},
		},
		Commands: []device.CommandSpec{
			{Name: "act", Args: number("n")},
			{Name: "slow", Args: number("ms")},
			{Name: "fail"},
			{Name: "mute"},
			{Name: "twice"},
			{Name: "nudge", Idempotent: true},
			{Name: "aim", Args: number("n"), Supersedes: true, Idempotent: true},
		},
	}
}

const commandDeviceEvery = 250 * time.Millisecond // a frame

// commandDevice is a device of a verification of commands, in a process of its own that may be killed at any moment. It notes what it
// does in a file before and after it does it.
type commandDevice struct {
	log *os.File

	mu    sync.Mutex
	level int64
}

// RunCommandDevice plays the device that the file describes until ctx ends.
func RunCommandDevice(ctx context.Context, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c commandDeviceConfig
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	target, err := NewTarget(c.Hub, c.CA, false)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r := &commandDevice{log: log}
	d, err := client.New(client.Config{
		URL: target.URL, TLS: target.TLS, Token: c.Token, Schema: commandDeviceSchema(), Firmware: "firmware-sim", Model: "command-device",
		BufferPath: c.Buffer, OnCommand: r.obey, OnSet: r.set, Logger: slog.New(slog.DiscardHandler),
		Faults: &client.Faults{Answers: func(cmd *device.Command) int {
			switch cmd.Name {
			case "mute":
				return 0
			case "twice":
				return 2
			}
			return 1
		}},
	})
	if err != nil {
		return err
	}
	defer d.Close()
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	frame := newFrame(commandDeviceSchema(), 1)
	for n := int64(1); sleep(ctx, commandDeviceEvery); n++ {
		r.mu.Lock()
		level := r.level
		r.mu.Unlock()
		frame.Times[0] = time.Now().UnixMicro()
		frame.Columns[0].Bits[0], frame.Columns[1].Bits[0] = uint64(n), uint64(level)
		if _, err := d.Send(frame); err != nil {
			return err
		}
	}
	return <-ran
}

// note writes a line: what it is about to do, or has done.
func (r *commandDevice) note(format string, args ...any) {
	if _, err := fmt.Fprintf(r.log, format+"\n", args...); err != nil {
		panic(err) // what is done without a note would prove nothing
	}
}

func (r *commandDevice) obey(ctx context.Context, cmd device.Command) (result device.Result) {
	r.note("begin %v %d %d", cmd.ID, time.Now().UnixNano(), cmd.Deadline)
	defer func() { r.note("end %v %d", cmd.ID, result.Status) }()
	switch cmd.Name {
	case "slow":
		if !sleep(ctx, time.Duration(cmd.Args["ms"].(int64))*time.Millisecond) {
			return device.Result{Status: device.ResultFailed, Text: "interrupted"}
		}
	case "fail":
		return device.Result{Status: device.ResultFailed, Text: "on purpose"}
	}
	return device.Result{Text: "done"}
}

func (r *commandDevice) set(_ context.Context, _ device.Channel, value any) device.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.level = value.(int64)
	return device.Result{}
}
