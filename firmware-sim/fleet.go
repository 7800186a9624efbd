package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// connectRate is how many devices begin to connect each second: a TLS handshake costs about a millisecond on either side,
// so a fleet that all came at once would measure nothing else.
const connectRate = 200

// fleetConfig describes a fleet.
type fleetConfig struct {
	target      Target
	credentials []Credential
	profiles    []Profile // taken in turn
	rate        float64   // frames per second and device; 0: what suits the profile
	seed        uint64
	logger      *slog.Logger
}

// fleet is many devices in one process.
type fleet struct {
	members []*member
	rotas   []*schedule   // one for each profile: each may have its own rate
	home    chan struct{} // closed when the devices that wander off shall stay
}

func newFleet(c fleetConfig) (*fleet, error) {
	f := &fleet{home: make(chan struct{})}
	booted := time.Now()
	turns := make([][]func(time.Time) error, len(c.profiles))
	for i, credential := range c.credentials {
		which := i % len(c.profiles)
		config := memberConfig{
			target: c.target, credential: credential, profile: c.profiles[which], seed: c.seed, booted: booted, logger: c.logger,
		}
		m, err := newMember(config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("device %s: %w", credential.Device, err), f.close())
		}
		f.members = append(f.members, m)
		turns[which] = append(turns[which], m.measure)
	}
	for i, devices := range turns {
		if len(devices) == 0 {
			continue // fewer devices than profiles
		}
		rate := c.rate
		if rate == 0 {
			rate = c.profiles[i].Rate
		}
		f.rotas = append(f.rotas, newSchedule(rate, devices))
	}
	return f, nil
}

// run connects the devices, a few at a time, and keeps them connected until ctx ends.
func (f *fleet) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		// The members join the same group; it cannot be done before this goroutine is.
		for _, m := range f.members {
			g.Go(func() error {
				if err := m.live(ctx, f.home); err != nil && ctx.Err() == nil {
					return fmt.Errorf("device %s: %w", m.id, err)
				}
				return nil
			})
			if !sleep(ctx, time.Second/connectRate) {
				return nil
			}
		}
		return nil
	})
	return g.Wait()
}

// measure makes frames at the fleet's rate until ctx ends.
func (f *fleet) measure(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range f.rotas {
		g.Go(func() error { return r.run(ctx) })
	}
	err := g.Wait()
	for _, m := range f.members {
		m.endPace()
	}
	return err
}

// drainFor calls the wanderers home and waits until nothing is unacked. It is no error if that takes longer than d: the
// totals say so.
func (f *fleet) drainFor(ctx context.Context, d time.Duration) error {
	close(f.home)
	draining, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, m := range f.members {
		if err := m.drain(draining); err != nil {
			return ctx.Err()
		}
	}
	return nil
}

// close releases the devices' buffers; run must have returned.
func (f *fleet) close() error {
	var errs []error
	for _, m := range f.members {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}

// sleep waits for d, and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
