package ledger_test

import (
	"fmt"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// BenchmarkFrame is a frame's way from the session to the journal, commits included, with many devices taking turns. The
// ratio between the two is what a device costs beside its frames.
func BenchmarkFrame(b *testing.B) {
	for _, devices := range []int{1, 1000} {
		b.Run(fmt.Sprint(devices, " devices"), func(b *testing.B) {
			h := start(b, store.Options{})
			connections := make([]*storetest.Connection, devices)
			for i := range connections {
				connections[i] = connect(b, h, fmt.Sprint("device-", i), 1)
			}
			message, d := data(1)
			var settled ledger.Settled
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			b.ResetTimer()
			for i := range b.N {
				c := connections[i%devices]
				d.Seq = uint64(i/devices) + 1
				if err := c.Frame(b.Context(), message, d, tail.Timing{}); err != nil {
					b.Fatal(err)
				}
				if i%(64*devices) < devices { // as a session does for its ACK
					settled.Reset()
					c.Take(&settled)
				}
			}
			b.StopTimer()
			if err := h.Ledger.Checkpoint(); err != nil {
				b.Fatal(err)
			}
			if got := connections[0].Received(device.MaxRanges); len(got) != 1 || got[0].First != 1 {
				b.Fatalf("received %v", got)
			}
		})
	}
}
