package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Example registers a device, stores a frame of it as a session of the hub does, and reads it back from the history.
func Example() {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)
	s, err := store.Open(store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()

	credentials, err := s.Devices.Add([]devices.NewDevice{{ID: "boiler"}})
	check(err)
	id, err := s.Devices.Authenticate(credentials[0].Token)
	check(err)

	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -1, Unit: "Cel"}}}
	committed := make(chan struct{}, 1)
	in := s.Ledger.Ingest(id, 1, func() { committed <- struct{}{} }) // stream 1
	in.Schema(device.AppendControl(nil, schema), schema)
	frame := &device.Data{
		Seq: 1, Times: []int64{time.Now().UnixMicro()}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{215}}}, // tenths of a degree
	}
	message, err := device.AppendData(nil, frame, schema)
	check(err)
	check(in.Frame(ctx, message, frame, tail.Timing{}))
	<-committed // the frame is on disk
	var settled ledger.Settled
	in.Take(&settled)
	fmt.Println("to be acknowledged:", settled.Acks)

	for r, err := range s.Readings(ctx, history.Query{Device: id}) {
		check(err)
		fmt.Printf("%s %s %s %s\n", r.Device, r.Channel.Name, r.Value.AppendText(nil), r.Channel.Unit)
	}
	stop()
	check(errors.Join(<-stopped, s.Close()))
	// Output:
	// to be acknowledged: [{1 1}]
	// boiler temperature 21.5 Cel
}
