package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	benchWarmUp  = 3 * time.Second // of streaming before anything is measured
	benchConnect = time.Minute     // beyond the time that connectRate asks for
)

// BenchOptions describe a measurement.
type BenchOptions struct {
	HubBinary string
	Devices   int
	Rate      float64       // frames per second and device
	Duration  time.Duration // of the interval measured, after all have connected and warmed up
	Progress  Progress
}

// BenchResult is what was measured over the steady interval.
type BenchResult struct {
	Devices         int     `json:"devices"`
	Rate            float64 `json:"rate"`               // frames per second and device, as asked for
	Seconds         float64 `json:"seconds"`            // of the interval
	FrameBytes      float64 `json:"frame_bytes"`        // mean length of a DATA message
	ReadingsInFrame int     `json:"readings_per_frame"` //
	Frames          uint64  `json:"frames"`             // transmitted in the interval
	FramesPerSecond float64 `json:"frames_per_second"`  //
	Readings        float64 `json:"readings_per_second"`
	CPUPerFrame     float64 `json:"hub_cpu_us_per_frame"` // user and system
	CPUShare        float64 `json:"hub_cpu_share"`        // of one core
	AckP50          float64 `json:"ack_p50_ms"`           // from a frame's transmission to its ACK
	AckP99          float64 `json:"ack_p99_ms"`           //
	Resident        uint64  `json:"hub_resident_bytes"`   // at the end of the interval
	ResidentPeak    uint64  `json:"hub_resident_peak"`    // bytes, since its start
	Written         float64 `json:"written_per_byte"`     // bytes written to disk per byte of DATA messages
	WrittenPerFrame float64 `json:"written_per_frame"`    // bytes
	Totals          Totals  `json:"totals"`               // of the whole run, after the last ack
}

// benchProfile sends the frame that a small sensor typically sends: one sample of three channels.
func benchProfile() Profile {
	return Profile{
		Name: "bench",
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
			{ID: 1, Name: "humidity", Type: device.Int, Scale: -1, Unit: "%"},
			{ID: 2, Name: "pressure", Type: device.Int, Unit: "Pa"},
		}},
		start: func(rng *rand.Rand, _ *controls) generator {
			return func(at time.Time, d *device.Data) {
				d.Times[0] = at.UnixMicro()
				d.Columns[0].Bits[0] = uint64(1500 + rng.IntN(1000))
				d.Columns[1].Bits[0] = uint64(300 + rng.IntN(400))
				d.Columns[2].Bits[0] = uint64(98_000 + rng.IntN(5000))
			}
		},
	}
}

// Bench starts a hub, drives it over TLS and measures what a frame costs it. The error is not nil unless every frame was
// acked.
func Bench(ctx context.Context, o BenchOptions) (*BenchResult, error) {
	if o.Devices < 1 || !(o.Rate > 0) || o.Duration < time.Second {
		return nil, errors.New("bench needs at least one device, a rate above 0 and a duration of at least 1s")
	}
	dir, err := os.MkdirTemp("", "telemetry-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hub, err := newChildHub(o.HubBinary, dir)
	if err != nil {
		return nil, err
	}
	defer hub.kill()
	if err := hub.start(ctx); err != nil {
		return nil, err
	}
	credentials, err := hub.addDevices(ctx, o.Devices)
	if err != nil {
		return nil, err
	}
	target, err := hub.target()
	if err != nil {
		return nil, err
	}
	b := &bench{BenchOptions: o, hub: hub}
	b.fleet, err = newFleet(fleetConfig{
		target: target, credentials: credentials, profiles: []Profile{benchProfile()}, rate: o.Rate, seed: 1,
		trace: b.meter.watch, logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	stop := o.Progress.follow(func() string {
		t := b.fleet.totals()
		return fmt.Sprintf("%d of %d connected  %s", t.Connected, t.Devices, t)
	})
	result, err := b.run(ctx)
	stop()
	return result, errors.Join(err, b.fleet.close())
}

type bench struct {
	BenchOptions
	hub   *childHub
	fleet *fleet
	meter meter
}

func (b *bench) run(ctx context.Context) (*BenchResult, error) {
	var result *BenchResult
	g, ctx := errgroup.WithContext(ctx)
	connected, disconnect := context.WithCancel(ctx)
	g.Go(func() error { return b.fleet.run(connected) })
	g.Go(func() error {
		defer disconnect()
		if err := b.connect(ctx); err != nil {
			return err
		}
		measuring, enough := context.WithCancel(ctx)
		defer enough()
		ended := make(chan struct{})
		g.Go(func() error { defer close(ended); return b.fleet.measure(measuring) })
		var err error
		if result, err = b.interval(ctx); err != nil {
			return err
		}
		enough()
		<-ended // it may be sending a last frame
		return b.fleet.drainFor(ctx, drainTime)
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result.Totals = b.fleet.totals()
	return result, result.Totals.settled()
}

// connect waits until all devices are connected.
func (b *bench) connect(ctx context.Context) error {
	limit := benchConnect + time.Duration(b.Devices)*time.Second/connectRate
	for deadline := time.Now().Add(limit); ; {
		t := b.fleet.totals()
		if t.Connected == t.Devices {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v only %d of %d devices are connected (%s)", limit, t.Connected, t.Devices, t.LastError)
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// interval measures after a warm-up.
func (b *bench) interval(ctx context.Context) (*BenchResult, error) {
	if !sleep(ctx, benchWarmUp) {
		return nil, ctx.Err()
	}
	pid := b.hub.cmd.Process.Pid
	before, err := processUsage(pid)
	if err != nil {
		return nil, err
	}
	b.meter.ack.reset()
	began, frames, bytes := time.Now(), b.meter.frames.Load(), b.meter.bytes.Load()
	if !sleep(ctx, b.Duration) {
		return nil, ctx.Err()
	}
	seconds := time.Since(began).Seconds()
	frames, bytes = b.meter.frames.Load()-frames, b.meter.bytes.Load()-bytes
	after, err := processUsage(pid)
	if err != nil {
		return nil, err
	}
	if frames == 0 {
		return nil, fmt.Errorf("no frame was sent in %v", b.Duration)
	}
	readings := len(b.fleet.members[0].frame.Columns) * len(b.fleet.members[0].frame.Times)
	cpu, written := after.cpu-before.cpu, float64(after.written-before.written)
	return &BenchResult{
		Devices: b.Devices, Rate: b.Rate, Seconds: seconds,
		FrameBytes: float64(bytes) / float64(frames), ReadingsInFrame: readings, Frames: frames,
		FramesPerSecond: float64(frames) / seconds, Readings: float64(frames) * float64(readings) / seconds,
		CPUPerFrame: float64(cpu.Microseconds()) / float64(frames), CPUShare: cpu.Seconds() / seconds,
		AckP50: milliseconds(b.meter.ack.quantile(0.50)), AckP99: milliseconds(b.meter.ack.quantile(0.99)),
		Resident: after.rss, ResidentPeak: after.peak,
		Written: written / float64(bytes), WrittenPerFrame: written / float64(frames),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// String is the result for people.
func (r *BenchResult) String() string {
	written := fmt.Sprintf("%.2f bytes per byte of frame, %.0f per frame", r.Written, r.WrittenPerFrame)
	if r.Written == 0 {
		written = "nothing: the temporary directory is in memory; set TMPDIR to a directory on disk"
	}
	return fmt.Sprintf(`%d devices, %g frames/s each, one sample of %d channels (%.1f bytes) a frame, over TLS, %.0f s
  frames        %.0f/s, readings %.0f/s
  hub CPU       %.1f µs per frame, %.1f %% of one core
  ack           p50 %.1f ms, p99 %.1f ms after transmission
  hub memory    %.1f MiB resident, %.1f MiB at most
  to disk       %s
  whole run     %s
`, r.Devices, r.Rate, r.ReadingsInFrame, r.FrameBytes, r.Seconds, r.FramesPerSecond, r.Readings, r.CPUPerFrame, 100*r.CPUShare,
		r.AckP50, r.AckP99, float64(r.Resident)/(1<<20), float64(r.ResidentPeak)/(1<<20), written, r.Totals)
}
