package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// clockKind is what a device of VerifyClock has for a clock.
type clockKind string

const (
	clockRight clockKind = "right" // a wall clock
	clockWrong clockKind = "wrong" // a wall clock, long behind
	clockBoot  clockKind = "boot"  // knows the time since its boot
	clockNone  clockKind = "none"  // forgets in which boot it was: no HELLO ever names the boot of its frames
)

var clockKinds = []clockKind{clockRight, clockWrong, clockBoot, clockNone}

// behind is how wrong the clock of clockWrong is; by as much, the hub's never is.
const behind = 400 * 24 * time.Hour

var clockSchema = &device.Schema{Channels: []device.Channel{{ID: 0, Name: "count", Type: device.Int, Interval: 1000 / clockRate}}}

// clockDevice is one device of VerifyClock. Its frame n has one reading: n.
type clockDevice struct {
	kind   clockKind
	id     string
	began  time.Time
	client *client.Client

	mu      sync.Mutex
	made    []time.Time // of each frame
	settled []time.Time // when the hub said that it has it; zero: not yet
}

func newClockDevice(kind clockKind, target Target, c Credential) (_ *clockDevice, err error) {
	d := &clockDevice{kind: kind, id: c.Device, began: time.Now().Add(-time.Hour)}
	config := client.Config{
		URL: target.URL, Token: c.Token, TLS: target.TLS, Schema: clockSchema, Firmware: "firmware-sim", Model: string(kind),
		Trace: &client.Trace{Settled: d.note},
	}
	if kind == clockBoot || kind == clockNone {
		config.Clock, config.Boot = device.ClockBoot, 1
	}
	config.Now = func() time.Time { return time.UnixMicro(d.clock(time.Now())) }
	d.client, err = client.New(config)
	return d, err
}

// clock is what the device's clock shows at a moment, in µs.
func (d *clockDevice) clock(at time.Time) int64 {
	switch d.kind {
	case clockRight:
		return at.UnixMicro()
	case clockWrong:
		return at.Add(-behind).UnixMicro()
	default:
		return at.Sub(d.began).Microseconds()
	}
}

// measure makes a frame.
func (d *clockDevice) measure(time.Time) error {
	d.mu.Lock()
	now := time.Now()
	d.made, d.settled = append(d.made, now), append(d.settled, time.Time{})
	n := len(d.made)
	d.mu.Unlock()
	frame := &device.Data{Times: []int64{d.clock(now)}, Columns: []device.Column{{ID: 0, Type: device.Int, Bits: []uint64{uint64(n)}}}}
	switch d.kind {
	case clockBoot:
		frame.Clock, frame.Boot = device.ClockBoot, 1
	case clockNone:
		frame.Clock, frame.Boot = device.ClockBoot, 2
	}
	var failed error
	seq, err := d.client.SendEncoded(func(dst []byte, seq uint64) []byte { // Send would put the boot right
		frame.Seq = seq
		dst, failed = device.AppendData(dst, frame, clockSchema)
		return dst
	})
	if err = errors.Join(err, failed); err != nil || seq != uint64(n) {
		return fmt.Errorf("device %s: frame %d got the number %d: %w", d.id, n, seq, err)
	}
	return nil
}

// note is called by the client when the hub has frames.
func (d *clockDevice) note(r device.Ranges) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, span := range r {
		for n := span.First; n <= min(span.Last, uint64(len(d.settled))); n++ {
			if d.settled[n-1].IsZero() {
				d.settled[n-1] = time.Now()
			}
		}
	}
}

// live keeps the device connected until ctx ends.
func (d *clockDevice) live(ctx context.Context) error {
	if err := d.client.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("device %s: %w", d.id, err)
	}
	return nil
}
