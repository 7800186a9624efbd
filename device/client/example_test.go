package client_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"os/signal"
	"syscall"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// A thermometer with a lamp.
func Example() {
	hub := startExampleHub() // use the address of yours
	defer hub.Close()

	c, err := client.New(client.Config{
		URL: hub.URL, TLS: hub.TLS, Token: "the device's token",
		Schema: &device.Schema{
			Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Float64, Unit: "Cel"}},
			Commands: []device.CommandSpec{{Name: "blink"}},
		},
		OnCommand: func(_ context.Context, cmd device.Command) device.Result {
			fmt.Println("doing:", cmd.Name)
			return device.Result{Status: device.ResultSucceeded}
		},
		BufferPath: hub.TempFile("buffer"), // keeps readings across a restart
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	running := make(chan error)
	go func() { running <- c.Run(ctx) }()

	for _, celsius := range []float64{20.5, 20.6} {
		_, err := c.Send(&device.Data{
			Times:   []int64{time.Now().UnixMicro()},
			Columns: []device.Column{{ID: 1, Type: device.Float64, Bits: []uint64{math.Float64bits(celsius)}}},
		})
		if err != nil {
			log.Print(err)
		}
	}

	fmt.Println("drained:", c.Drain(ctx))
	stop()
	fmt.Println("ran:", <-running)
	fmt.Println("acknowledged:", c.Stats().Acked)
	// Output:
	// the hub stores temperature 20.5
	// the hub stores temperature 20.6
	// doing: blink
	// the hub hears of success: true
	// drained: <nil>
	// ran: <nil>
	// acknowledged: 2
}
