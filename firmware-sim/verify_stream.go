package firmwaresim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// stream measures and kills for the duration, then waits until every device has had everything settled.
func (v *verification) stream(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	connected, disconnect := context.WithCancel(running)
	measuring, enough := context.WithTimeout(connected, v.Duration)
	defer enough()
	var turns []func(time.Time) error
	for i, s := range v.devices {
		turns = append(turns, s.measure)
		rng := rand.New(rand.NewPCG(v.Seed, uint64(i)))
		g.Go(func() error {
			if err := s.live(connected, measuring, rng); err != nil {
				return fmt.Errorf("device %s: %w", s.id, err)
			}
			return nil
		})
	}
	g.Go(func() error { return newSchedule(verifyRate, turns).run(measuring) })
	g.Go(func() error {
		defer disconnect()
		if err := v.killHub(running, measuring); err != nil {
			return err
		}
		return v.drain(running)
	})
	if v.influx != nil {
		g.Go(func() error { return v.killInflux(running, measuring) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// killHub kills the hub and starts it again until measuring ends. It is down for a moment mostly, and one time in five
// long enough for small buffers to overflow.
func (v *verification) killHub(ctx, measuring context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment")))
	for {
		pause := time.NewTimer(v.KillEvery/2 + randomTime(rng, v.KillEvery))
		select {
		case <-measuring.Done():
			pause.Stop()
			return ctx.Err()
		case <-v.hub.exited:
			pause.Stop()
			return v.hub.failed("the hub ended by itself: %w", v.hub.err)
		case <-pause.C:
		}
		v.hub.kill()
		v.report.Kills++
		down := 50*time.Millisecond + randomTime(rng, 250*time.Millisecond)
		if rng.IntN(5) == 0 {
			down = 3*time.Second + randomTime(rng, time.Second)
		}
		if !sleep(ctx, down) {
			return ctx.Err()
		}
		if err := v.hub.start(ctx); err != nil {
			return err
		}
	}
}

// killInflux kills InfluxDB and starts it again until measuring ends.
func (v *verification) killInflux(ctx, measuring context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment influx")))
	for sleep(measuring, v.KillEvery/2+randomTime(rng, v.KillEvery)) {
		v.influx.kill()
		v.report.InfluxKills++
		if !sleep(ctx, 50*time.Millisecond+randomTime(rng, 4*time.Second)) {
			return ctx.Err()
		}
		if err := v.influx.start(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// drain waits until every frame is settled.
func (v *verification) drain(ctx context.Context) error {
	for _, s := range v.devices {
		s.calmDown()
	}
	draining, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, s := range v.devices {
		if err := s.drain(draining); err != nil {
			if !v.hub.running() {
				return v.hub.failed("the hub ended by itself: %w", v.hub.err)
			}
			stats := s.client.Stats()
			return fmt.Errorf("device %s: %d frames were still not settled %v after the last restart (%s): %w",
				s.id, stats.Unacked, settleTime, stats.LastError, err)
		}
	}
	return nil
}
