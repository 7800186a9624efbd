package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	reconnectRate = 0.2         // frames a second that a device sends meanwhile
	connectLimit  = time.Minute // beyond the time that connectRate asks for
	settleDown    = 3 * time.Second
)

// ReconnectOptions describe a measurement of a fleet's return.
type ReconnectOptions struct {
	HubBinary string
	Devices   int
	Within    time.Duration // the error is not nil if it takes longer
	Progress  Progress
}

// ReconnectResult is how long it took until devices had WELCOME again, after the hub was ready.
type ReconnectResult struct {
	Devices      int     `json:"devices"`
	Down         float64 `json:"hub_down_s"` // from the kill until the hub was ready again
	Half         float64 `json:"half_s"`     // until half of them were back
	Most         float64 `json:"most_s"`     // 99 %
	All          float64 `json:"all_s"`
	CPU          float64 `json:"hub_cpu_s"`         // user and system, until all were back
	ResidentPeak uint64  `json:"hub_resident_peak"` // bytes
	Totals       Totals  `json:"totals"`            // of the whole run, after the last ack
}

// Reconnect starts a hub with its default settings, connects a fleet, kills the hub without a warning, starts it again at once,
// and measures how long the fleet takes to return. All devices have one address, as behind a router.
func Reconnect(ctx context.Context, o ReconnectOptions) (*ReconnectResult, error) {
	if o.Devices < 1 || o.Within <= 0 {
		return nil, errors.New("bench reconnect needs at least one device and a time above 0")
	}
	hub, err := startBenchHub(ctx, o.HubBinary, "", o.Devices, &pinning{}) // with the defaults
	if err != nil {
		return nil, err
	}
	defer hub.remove()
	f, err := newFleet(fleetConfig{
		target: hub.target, credentials: hub.credentials, profiles: []Profile{officeProfile()}, rate: reconnectRate, seed: 1,
		logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	stop := o.Progress.follow(func() string {
		t := f.totals()
		return fmt.Sprintf("%d of %d connected  %s", t.Connected, t.Devices, t)
	})
	r := &reconnect{ReconnectOptions: o, hub: hub.childHub, fleet: f}
	result, err := r.run(ctx)
	stop()
	return result, errors.Join(err, f.close())
}

type reconnect struct {
	ReconnectOptions
	hub   *childHub
	fleet *fleet
}

func (r *reconnect) run(ctx context.Context) (*ReconnectResult, error) {
	var result *ReconnectResult
	var late error
	g, ctx := errgroup.WithContext(ctx)
	connected, disconnect := context.WithCancel(ctx)
	g.Go(func() error { return r.fleet.run(connected) })
	g.Go(func() error {
		defer disconnect()
		if _, err := r.back(ctx, 1, time.Now(), connectLimit+time.Duration(r.Devices)*time.Second/connectRate); err != nil {
			return err
		}
		measuring, enough := context.WithCancel(ctx)
		defer enough()
		ended := make(chan struct{})
		g.Go(func() error { defer close(ended); return r.fleet.measure(measuring) })
		if !sleep(ctx, settleDown) {
			return ctx.Err()
		}
		var err error
		if result, err = r.measure(ctx); result == nil {
			return err
		}
		late = err
		enough()
		<-ended // it may be sending a last frame
		return r.fleet.drainFor(ctx, 2*drainTime)
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result.Totals = r.fleet.totals()
	return result, errors.Join(late, result.Totals.settled())
}

// measure kills the hub and waits for the fleet.
func (r *reconnect) measure(ctx context.Context) (*ReconnectResult, error) {
	killed := time.Now()
	r.hub.kill()
	if err := r.hub.start(ctx); err != nil {
		return nil, err
	}
	ready := time.Now()
	shares, err := r.back(ctx, 2, ready, max(5*r.Within, connectLimit))
	if err != nil {
		return nil, err
	}
	used, err := processUsage(r.hub.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	result := &ReconnectResult{
		Devices: r.Devices, Down: ready.Sub(killed).Seconds(), Half: shares[0].Seconds(), Most: shares[1].Seconds(), All: shares[2].Seconds(),
		CPU: used.cpu.Seconds(), ResidentPeak: used.peak,
	}
	if shares[2] > r.Within {
		err = fmt.Errorf("the fleet took %.1f s to return, more than %v", result.All, r.Within)
	}
	return result, err
}

// back waits until all devices have had as many connections, and returns how long after began half of them, 99 % and all had.
func (r *reconnect) back(ctx context.Context, connects uint64, began time.Time, limit time.Duration) (shares [3]time.Duration, err error) {
	wanted := [3]int{(r.Devices + 1) / 2, (99*r.Devices + 99) / 100, r.Devices}
	for {
		n := 0
		for _, m := range r.fleet.members {
			if m.stats().Connects >= connects {
				n++
			}
		}
		took := time.Since(began)
		for i := range shares {
			if shares[i] == 0 && n >= wanted[i] {
				shares[i] = took
			}
		}
		if n == r.Devices {
			return shares, nil
		}
		if took > limit {
			return shares, fmt.Errorf("after %v only %d of %d devices are connected (%s)", limit, n, r.Devices, r.fleet.totals().LastError)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return shares, ctx.Err()
		}
	}
}

// String is the result for people.
func (r *ReconnectResult) String() string {
	return fmt.Sprintf(`%d devices behind one address, the hub killed and started again with its default settings
  hub           ready again after %.1f s
  back          half after %.1f s, 99 %% after %.1f s, all after %.1f s
  hub CPU       %.1f s until then, %.2f ms per device
  hub memory    %.1f MiB at most
  whole run     %s
`, r.Devices, r.Down, r.Half, r.Most, r.All, r.CPU, 1000*r.CPU/float64(r.Devices), float64(r.ResidentPeak)/(1<<20), r.Totals)
}
