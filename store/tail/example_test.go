package tail_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// writeFrames appends a line to a file for every frame: its position, its device, its number and how many values it has. It begins
// behind the last line, so that a frame is there once, and runs until ctx ends.
func writeFrames(ctx context.Context, tails *tail.Log, path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	written, err := io.ReadAll(file)
	whole := bytes.LastIndexByte(written, '\n') + 1 // a crash may have cut the last line off
	if err := errors.Join(err, file.Truncate(int64(whole))); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	next := uint64(1)
	for line := range bytes.Lines(written[:whole]) {
		if _, err := fmt.Sscan(string(line), &next); err != nil {
			return err
		}
		next++
	}
	r := tails.Reader(next)
	defer r.Close()
	r.Hold(next)
	out := bufio.NewWriter(file)
	for {
		e, err := r.Next()
		switch {
		case errors.Is(err, io.EOF): // all is read: write it, and let the journal go on without it
			if err := errors.Join(out.Flush(), file.Sync()); err != nil {
				return err
			}
			r.Hold(r.Position())
			select {
			case <-r.News():
			case <-ctx.Done():
				return nil
			}
		case err != nil:
			return err
		case e.Kind == tail.KindFrame:
			d, err := e.Data()
			if err != nil {
				return err
			}
			fmt.Fprintln(out, e.Position, e.Device, d.Seq, d.Readings())
		case e.Kind == tail.KindGap, e.Kind == tail.KindOverleap:
			fmt.Fprintln(out, e.Gap.Last, "missing since", e.Gap.First, e.Gap.Cause)
		}
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "tail")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 2)
	path := filepath.Join(dir, "frames.txt")
	go func() { stopped <- s.Run(ctx) }()
	go func() { stopped <- writeFrames(ctx, s.Tails, path) }()

	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Float64}}}
	in := s.Ledger.Ingest("boiler", 1, func() {})
	in.Schema(device.AppendControl(nil, schema), schema)
	for seq := range uint64(3) {
		d := &device.Data{Seq: seq + 1, Times: []int64{time.Now().UnixMicro()}, Columns: []device.Column{{ID: 1, Type: device.Float64, Bits: []uint64{0}}}}
		message, err := device.AppendData(nil, d, schema)
		if err != nil {
			panic(err)
		}
		if err := in.Frame(ctx, message, d, tail.Timing{}); err != nil {
			panic(err)
		}
	}
	var lines []byte
	for len(lines) < len("2 boiler 1 1\n")*3 {
		time.Sleep(10 * time.Millisecond)
		lines, _ = os.ReadFile(path)
	}
	stop()
	fmt.Print(string(lines), errors.Join(<-stopped, <-stopped, s.Close()))
	// Output:
	// 2 boiler 1 1
	// 3 boiler 2 1
	// 4 boiler 3 1
	// <nil>
}
