package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	benchWarmUp  = 2 * time.Second  // of load before anything is measured
	catchUpLimit = 10 * time.Minute // for the history to read what the load has left
)

// BenchOptions describe a measurement.
type BenchOptions struct {
	HubBinary string
	Against   string // another hub, measured in turns; empty: none
	Devices   int
	Rate      float64       // frames per second and device; 0: as many as Window lets
	Window    int           // frames in flight of each device, when Rate is 0
	Rounds    int           // of each hub
	Duration  time.Duration // of a round's load, after all have connected and warmed up
	Progress  Progress
}

func (o *BenchOptions) check() error {
	switch {
	case o.Devices < 1 || o.Rounds < 1 || o.Duration < time.Second:
		return errors.New("bench needs at least one device, one round and a duration of at least 1s")
	case o.Rate < 0:
		return errors.New("bench needs a rate above 0")
	case o.Rate == 0 && (o.Window < 1 || o.Window > loadInFlight):
		return fmt.Errorf("bench needs a window of 1 to %d frames", loadInFlight)
	}
	return nil
}

// Bench starts a hub for each round, drives it over TLS and measures what a frame costs it. The error is not nil unless every
// frame was acknowledged.
func Bench(ctx context.Context, o BenchOptions) (*BenchResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	pinned, err := pin()
	if err != nil {
		return nil, err
	}
	defer pinned.undo()
	result := &BenchResult{Devices: o.Devices, Rate: o.Rate, Window: o.Window, Seconds: o.Duration.Seconds()}
	for n := range o.Rounds {
		for turn := range 2 {
			if (turn+n)%2 == 0 { // what wears on the machine is not to favour one
				r, err := o.round(ctx, &pinned, o.HubBinary, fmt.Sprintf("round %d of %d", n+1, o.Rounds))
				if err != nil {
					return nil, err
				}
				result.Rounds = append(result.Rounds, *r)
			} else if o.Against != "" {
				r, err := o.round(ctx, &pinned, o.Against, fmt.Sprintf("round %d of %d, against", n+1, o.Rounds))
				if err != nil {
					return nil, err
				}
				result.Against = append(result.Against, *r)
			}
		}
	}
	return result, nil
}

// benchLimits let a device send as much as it can, and be silent while the hub catches up.
const benchLimits = `frames_per_second = 1000000
frame_burst = 1000000
idle = '15m'
`

// round measures one hub once.
func (o *BenchOptions) round(ctx context.Context, pinned *pinning, binary, name string) (_ *BenchRound, err error) {
	hub, err := startBenchHub(ctx, binary, hubConfig+benchLimits, o.Devices, pinned)
	if err != nil {
		return nil, err
	}
	defer hub.remove()
	window := o.Window
	if o.Rate > 0 {
		window = 0
	}
	l, err := dialLoad(ctx, hub.target, hub.credentials, window)
	if err != nil {
		return nil, err
	}
	defer l.close()
	defer o.Progress.follow(func() string {
		return fmt.Sprintf("%s: %d frames sent, %d acknowledged", name, l.frames.Load(), l.acked.Load())
	})()
	r := &round{BenchOptions: o, hub: hub.childHub, load: l}
	if err := r.drive(ctx, benchWarmUp); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// round is a hub that is being measured.
type round struct {
	*BenchOptions
	hub  *childHub
	load *load
}

// drive sends for d, and returns when everything is acknowledged and the history has read it.
func (r *round) drive(ctx context.Context, d time.Duration) error {
	if err := r.load.run(ctx, d, r.Rate); err != nil {
		return err
	}
	if err := r.load.settle(ctx); err != nil {
		return err
	}
	return r.catchUp(ctx)
}

// catchUp waits until the history has read all of the journal: what it has not read yet is work that a short measurement would
// not see.
func (r *round) catchUp(ctx context.Context) error {
	for deadline := time.Now().Add(catchUpLimit); ; {
		unread, err := r.hub.unread(ctx)
		switch {
		case err != nil:
			return err
		case unread == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the history has %d entries to read after %v", unread, catchUpLimit)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// measure measures after a warm-up.
func (r *round) measure(ctx context.Context) (*BenchRound, error) {
	pid, l := r.hub.cmd.Process.Pid, r.load
	before, err := processUsage(pid)
	if err != nil {
		return nil, err
	}
	l.ack.reset()
	began, frames, bytes := time.Now(), l.frames.Load(), l.bytes.Load()
	acked, resident := l.acked.Load(), make(chan usage, 1)
	var atEnd uint64 // acknowledged
	end := time.AfterFunc(r.Duration, func() {
		atEnd = l.acked.Load()
		u, _ := processUsage(pid)
		resident <- u
	})
	defer end.Stop()
	if err := r.drive(ctx, r.Duration); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	after, err := processUsage(pid)
	if err != nil {
		return nil, err
	}
	loaded := <-resident
	n, sent := float64(l.frames.Load()-frames), float64(l.bytes.Load()-bytes)
	if n == 0 {
		return nil, fmt.Errorf("no frame was sent in %v", r.Duration)
	}
	cpu, written := after.cpu-before.cpu, float64(after.written-before.written)
	return &BenchRound{
		Frames: uint64(n), FrameBytes: sent / n, FramesPerSecond: float64(atEnd-acked) / r.Duration.Seconds(),
		CPUPerFrame: float64(cpu.Microseconds()) / n, CPUShare: (loaded.cpu - before.cpu).Seconds() / r.Duration.Seconds(),
		AckP50: milliseconds(l.ack.quantile(0.50)), AckP99: milliseconds(l.ack.quantile(0.99)),
		Resident: loaded.rss, ResidentPeak: after.peak, Written: written / sent, Behind: took - r.Duration.Seconds(),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
