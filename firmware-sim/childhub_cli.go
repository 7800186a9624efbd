package firmwaresim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// hubDevice is one entry of `device list --json`.
type hubDevice struct {
	ID    string   `json:"id"`
	Books hubBooks `json:"books"`
}

// hubBooks are what the hub has entered for one device.
type hubBooks struct {
	Frames     uint64 `json:"frames"` // stored
	Readings   uint64 `json:"readings"`
	Duplicates uint64 `json:"duplicates"` // dropped
	Rejected   uint64 `json:"rejected"`
	Lost       uint64 `json:"lost"` // declared by the device
	Holes      uint64 `json:"holes"`
}

// hubStatus is what is needed of `status --json`.
type hubStatus struct {
	DeadLetters uint64 `json:"dead_letters"`
	Tails       []struct {
		Name   string `json:"name"`
		Unread uint64 `json:"unread_entries"`
	} `json:"tails"`
	Export struct {
		State   string `json:"state"`
		Reason  string `json:"reason"`
		Waiting struct {
			Entries uint64 `json:"entries"`
		} `json:"waiting"`
	} `json:"export"`
}

// command runs the hub's program for one answer, which read takes from its output.
func (h *childHub) command(ctx context.Context, read func(io.Reader) error, args ...string) error {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, h.binary, append(args, "--data-dir", h.file("data"))...)
	cmd.SysProcAttr = childAttributes()
	cmd.Stderr = &complaint
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(stdout)
	_, _ = io.Copy(io.Discard, stdout) // a child must not block on a reader that has given up
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("telemetry-hub %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	if readErr != nil {
		return fmt.Errorf("telemetry-hub %s: %w", strings.Join(args, " "), readErr)
	}
	return nil
}

// json reads an answer in JSON. A hub from before --format has --json.
func (h *childHub) json(ctx context.Context, into any, args ...string) error {
	decode := func(r io.Reader) error { return json.NewDecoder(r).Decode(into) }
	if !h.old {
		err := h.command(ctx, decode, append(args, "--format", "json")...)
		if err == nil || !strings.Contains(err.Error(), "unknown flag: --format") {
			return err
		}
		h.old = true
	}
	return h.command(ctx, decode, append(args, "--json")...)
}

// addDevices registers count devices, and returns where they connect and with which credentials.
func (h *childHub) addDevices(ctx context.Context, count int) (Target, []Credential, error) {
	path := h.file("credentials.csv")
	err := h.command(ctx, discard, "device", "add", "--count", strconv.Itoa(count), "--prefix", "sim", "--output", path)
	if err != nil {
		return Target{}, nil, err
	}
	credentials, err := ReadCredentials(path)
	if err != nil {
		return Target{}, nil, err
	}
	target, err := h.target()
	return target, credentials, errors.Join(err, os.Remove(path))
}

func discard(io.Reader) error { return nil }

// books returns what the hub has entered for each device.
func (h *childHub) books(ctx context.Context) (map[string]hubBooks, error) {
	var devices []hubDevice
	if err := h.json(ctx, &devices, "device", "list"); err != nil {
		return nil, err
	}
	books := make(map[string]hubBooks, len(devices))
	for _, d := range devices {
		books[d.ID] = d.Books
	}
	return books, nil
}

func (h *childHub) status(ctx context.Context) (s hubStatus, err error) {
	return s, h.json(ctx, &s, "status")
}

// unread is how many entries of the journal the history has not read yet.
func (h *childHub) unread(ctx context.Context) (uint64, error) {
	s, err := h.status(ctx)
	if err != nil {
		return 0, err
	}
	for _, tail := range s.Tails {
		if tail.Name == "history" {
			return tail.Unread, nil
		}
	}
	return 0, errors.New("the hub's status does not say how far the history is")
}

// reading is one line of `readings --format csv`.
type reading struct {
	time    int64  // µs since 1970; nanoseconds below it are 0
	channel string // valid during the call
	value   string // valid during the call
}

const maxReadingLine = 16 << 10 // bytes

// readings calls yield with every reading the hub holds of a device, in the hub's order.
func (h *childHub) readings(ctx context.Context, id string, yield func(reading)) error {
	return h.command(ctx, func(out io.Reader) error { return parseReadings(out, id, yield) },
		"readings", id, "--format", "csv")
}

// parseReadings reads what `readings --format csv` prints.
func parseReadings(out io.Reader, id string, yield func(reading)) error {
	rows := newRecordReader(out, ',', maxReadingLine)
	header, _, err := rows.next()
	if errors.Is(err, io.EOF) {
		return errors.New("no output, not even a header")
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(strings.Join(header, ",")+",", "time,device,channel,value,") {
		return fmt.Errorf("header %q, expected time,device,channel,value first", header)
	}
	for {
		record, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(record) != len(header) || record[1] != id {
			return fmt.Errorf("line %d: %q is not a reading of %s", line, record, id)
		}
		t, err := time.Parse(time.RFC3339Nano, record[0])
		if err != nil || t.Nanosecond()%1000 != 0 {
			return fmt.Errorf("line %d: %q is not a time in whole microseconds", line, record[0])
		}
		yield(reading{time: t.UnixMicro(), channel: record[2], value: record[3]})
	}
}
