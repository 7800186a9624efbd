package storetest

import (
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Connection is a device's connection to a ledger, without a network.
type Connection struct {
	*ledger.Ingest
	t       testing.TB
	data    func(seq uint64) ([]byte, *device.Data)
	news    chan struct{}
	settled ledger.Settled
}

// Connect begins a connection of a device whose frames, by number, come from data.
func Connect(t testing.TB, l *ledger.Ledger, id string, stream uint64, schema *device.Schema, data func(seq uint64) ([]byte, *device.Data)) *Connection {
	c := &Connection{t: t, data: data, news: make(chan struct{}, 1)}
	c.Ingest = l.Ingest(id, stream, func() { notify.Signal(c.news) })
	c.Schema(device.AppendControl(nil, schema), schema)
	return c
}

// Send hands in the frames with these numbers.
func (c *Connection) Send(seqs ...uint64) {
	c.t.Helper()
	for _, seq := range seqs {
		message, d := c.data(seq)
		if err := c.Frame(c.t.Context(), message, d, tail.Timing{}); err != nil {
			c.t.Fatalf("frame %d: %v", seq, err)
		}
	}
}

// Await waits until seqs are settled on this connection.
func (c *Connection) Await(seqs ...uint64) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	var got device.SeqSet
	for {
		c.Take(&c.settled)
		for _, r := range c.settled.Acks {
			got.AddRange(r.First, r.Last)
		}
		for _, r := range c.settled.Rejects {
			got.Add(r.Seq)
		}
		missing := 0
		for _, seq := range seqs {
			if !got.Contains(seq) {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-c.news:
		case <-deadline:
			c.t.Fatalf("%d of %d frames were not settled; got %v", missing, len(seqs), got.Ranges())
		}
	}
}
