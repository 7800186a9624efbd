package firmwaresim

import (
	"fmt"

	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// Totals are the books of devices, as they themselves see them.
type Totals struct {
	Devices   int    `json:"devices"`
	Connected int    `json:"connected"`
	Created   uint64 `json:"created"`  // frames
	Sent      uint64 `json:"sent"`     // transmissions of frames
	Acked     uint64 `json:"acked"`    // frames the hub has on disk
	Rejected  uint64 `json:"rejected"` // frames the hub will never store
	Lost      uint64 `json:"lost"`     // frames overwritten in a full buffer
	Unacked   uint64 `json:"unacked"`  // frames in the buffers

	LastError string `json:"last_error,omitempty"` // of a device that is not connected
}

func (t *Totals) add(s client.Stats) {
	t.Devices++
	if s.Connected {
		t.Connected++
	} else if s.LastError != "" {
		t.LastError = s.LastError
	}
	t.Created += s.Created
	t.Sent += s.Sent
	t.Acked += s.Acked
	t.Rejected += s.Rejected
	t.Lost += s.Lost
	t.Unacked += s.Unacked
}

func (f *fleet) totals() Totals {
	var t Totals
	for _, m := range f.members {
		m.addTo(&t)
	}
	return t
}

// String is the totals in one line.
func (t Totals) String() string {
	return fmt.Sprintf("created %d, acked %d, rejected %d, lost %d, unacked %d",
		t.Created, t.Acked, t.Rejected, t.Lost, t.Unacked)
}

// settled returns an error unless every frame was acked.
func (t Totals) settled() error {
	switch {
	case t.Unacked > 0 && t.LastError != "":
		return fmt.Errorf("%d frames are not acknowledged (%s)", t.Unacked, t.LastError)
	case t.Unacked > 0:
		return fmt.Errorf("%d frames are not acknowledged", t.Unacked)
	case t.Rejected > 0:
		return problem("telemetry-hub dead-letters list says why", "the hub rejected %d frames", t.Rejected)
	case t.Lost > 0:
		return fmt.Errorf("%d frames were lost in full buffers", t.Lost)
	}
	return nil
}
