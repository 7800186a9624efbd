package firmwaresim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// drainTime is how long devices get to have their last frames acknowledged.
const drainTime = 15 * time.Second

// RunOptions describe a fleet to run.
type RunOptions struct {
	Target      Target
	Credentials []Credential
	Devices     int           // how many of the credentials to use, the first ones
	Rate        float64       // frames per second and device; 0: what suits the profile
	Profile     string        // name of a profile, or MixedProfile
	Duration    time.Duration // 0: until ctx ends
	Seed        uint64        // the same seed gives the same readings
	Progress    Progress
	Logger      *slog.Logger
}

// Run lets a fleet measure until the duration is over or ctx ends, then gives it a while to have everything acknowledged.
// The error is not nil unless every frame was.
func Run(ctx context.Context, o RunOptions) (Totals, error) {
	profiles, err := profilesNamed(o.Profile)
	if err != nil {
		return Totals{}, err
	}
	credentials, err := first(o.Credentials, o.Devices)
	if err != nil {
		return Totals{}, err
	}
	if o.Rate < 0 {
		return Totals{}, fmt.Errorf("%g frames a second: the rate cannot be negative", o.Rate)
	}
	f, err := newFleet(fleetConfig{
		target: o.Target, credentials: credentials, profiles: profiles, rate: o.Rate, seed: o.Seed, logger: o.Logger,
	})
	if err != nil {
		return Totals{}, err
	}
	started := time.Now()
	stop := o.Progress.follow(func() string {
		t := f.totals()
		line := fmt.Sprintf("%6s  %d of %d connected  %s", time.Since(started).Round(time.Second), t.Connected, t.Devices, t)
		if t.LastError != "" && t.Connected < t.Devices {
			line += "  (" + t.LastError + ")"
		}
		return line
	})
	err = f.runFor(ctx, o.Duration)
	stop()
	totals := f.totals()
	if err == nil {
		err = totals.settled()
	}
	if closed := f.close(); err == nil {
		err = closed
	}
	return totals, err
}

// runFor measures for d, or until ctx ends if d is 0, and drains.
func (f *fleet) runFor(ctx context.Context, d time.Duration) error {
	// The devices stay connected beyond ctx, for what is still on its way.
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	g, connected := errgroup.WithContext(connected)
	g.Go(func() error { return f.run(connected) })
	g.Go(func() error {
		defer disconnect()
		measuring, enough := context.WithCancel(connected)
		defer enough()
		defer context.AfterFunc(ctx, enough)()
		if d > 0 {
			defer time.AfterFunc(d, enough).Stop()
		}
		if err := f.measure(measuring); err != nil {
			return err
		}
		return f.drainFor(connected, drainTime)
	})
	return g.Wait()
}
