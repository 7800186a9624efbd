package firmwaresim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	clockRate  = 1               // frames per second and device
	setEvery   = 5 * time.Second // mean time between two settings of the hub's clock
	freshAfter = time.Minute     // after the last one, nothing may look stale
	tenYears   = 10 * 365 * 24 * time.Hour
)

// clockSetting is that the hub's clock was set at a moment, to be wrong by so much from then on.
type clockSetting struct {
	at    time.Time
	wrong time.Duration
}

// clockVerification is one run of VerifyClock.
type clockVerification struct {
	VerifyOptions
	hub      *childHub
	devices  []*clockDevice
	clocks   []time.Duration // how wrong the hub's clock is at times
	settings []clockSetting  // in order
	began    time.Time
	report   *ClockReport
}

// VerifyClock runs a hub as a child process whose clock is set again and again, to 1970, ten years ahead and back and right, while it
// is killed and devices with every kind of clock stream. Then nothing may be missing, although the hub keeps nothing for longer than
// a month; every time has to be right by the clock that the hub had, or be marked; and nothing may look stale.
func VerifyClock(ctx context.Context, o VerifyOptions) (*ClockReport, error) {
	dir, err := o.begin()
	if err != nil {
		return nil, err
	}
	v := &clockVerification{VerifyOptions: o, began: time.Now(), report: &ClockReport{Seed: o.Seed, findings: findings{Dir: dir}}}
	if v.hub, err = newChildHub(o.HubBinary, dir); err == nil {
		v.hub.env = []string{
			"TELEMETRY_TEST_CLOCK=" + v.hub.file("clock"), "TELEMETRY_HUB_JOURNAL_MAX_AGE=30d", "TELEMETRY_HUB_HISTORY_MAX_AGE=30d",
		}
		err = v.run(ctx)
		v.hub.kill()
	}
	if v.report.Dir, err = o.end(ctx, dir, err == nil && v.report.Agrees(), err); err != nil {
		return nil, err
	}
	return v.report, nil
}

func (v *clockVerification) run(ctx context.Context) error {
	// A gateway without a battery for its clock begins in 1970. One that was right first has more to lose.
	v.clocks = []time.Duration{0, -time.Since(time.Unix(1000, 0)).Truncate(time.Second), tenYears, -tenYears}
	if err := v.set(v.clocks[v.Seed%2]); err != nil {
		return err
	}
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	target, credentials, err := v.hub.addDevices(ctx, v.Devices)
	if err != nil {
		return err
	}
	for i, c := range credentials {
		d, err := newClockDevice(clockKinds[i%len(clockKinds)], target, c)
		if err != nil {
			return err
		}
		v.devices = append(v.devices, d)
	}
	stop := v.Progress.follow(v.line)
	err = v.stream(ctx)
	stop()
	if err != nil {
		return err
	}
	v.Progress.say("reading everything back, after a clean restart")
	if err := v.hub.stop(); err != nil {
		return err
	}
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	if err := v.compare(ctx); err != nil {
		return err
	}
	return v.hub.stop()
}

// set makes the hub's clock wrong by so much.
func (v *clockVerification) set(wrong time.Duration) error {
	v.settings = append(v.settings, clockSetting{time.Now(), wrong})
	return os.WriteFile(v.hub.file("clock"), []byte(strconv.FormatInt(int64(wrong/time.Second), 10)), 0o600)
}

// stream measures, sets and kills for the duration, then goes on with a right clock until nothing looks stale, and waits until
// everything is settled.
func (v *clockVerification) stream(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	connected, disconnect := context.WithCancel(running)
	measuring, enough := context.WithCancel(connected)
	defer enough()
	var turns []func(time.Time) error
	for _, d := range v.devices {
		turns = append(turns, d.measure)
		g.Go(func() error { return d.live(connected) })
	}
	g.Go(func() error { return newSchedule(clockRate, turns).run(measuring) })
	g.Go(func() error {
		defer disconnect()
		if err := v.killHub(running); err != nil {
			return err
		}
		if err := v.awaitFresh(running); err != nil {
			return err
		}
		enough()
		settled, cancel := context.WithTimeout(running, settleTime)
		defer cancel()
		for _, d := range v.devices {
			if err := d.client.Drain(settled); err != nil {
				return fmt.Errorf("device %s has frames that are not acknowledged: %w", d.id, err)
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// killHub sets the hub's clock and kills the hub for the duration; some settings happen while it is dead.
func (v *clockVerification) killHub(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment clock")))
	turn := func() error { return v.set(v.clocks[rng.IntN(len(v.clocks))]) }
	next := func(mean time.Duration) <-chan time.Time { return time.After(mean/2 + randomTime(rng, mean)) }
	over, set, kill := time.After(v.Duration), next(setEvery), next(v.KillEvery)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.hub.exited:
			return v.hub.failed("the hub ended by itself: %w", v.hub.err)
		case <-over:
			return v.lastTurn(ctx)
		case <-set:
			if err := turn(); err != nil {
				return err
			}
			set = next(setEvery)
		case <-kill:
			if rng.IntN(2) == 0 { // then the history is written, with times of receipt by the clock of now
				if err := v.hub.stop(); err != nil {
					return err
				}
				v.report.Stops++
			} else {
				v.hub.kill()
				v.report.Kills++
			}
			if rng.IntN(2) == 0 {
				if err := turn(); err != nil {
					return err
				}
			}
			if !sleep(ctx, 50*time.Millisecond+randomTime(rng, 500*time.Millisecond)) {
				return ctx.Err()
			}
			if err := v.hub.start(ctx); err != nil {
				return err
			}
			kill = next(v.KillEvery)
		}
	}
}

// lastTurn has the history written while the clock is right, and again when it is ten years ahead: then is the time to delete all of
// it, for whoever believes the clock. At last the clock is put right while the hub runs.
func (v *clockVerification) lastTurn(ctx context.Context) error {
	for _, wrong := range []time.Duration{0, tenYears} {
		if err := v.set(wrong); err != nil {
			return err
		}
		if !sleep(ctx, 2*time.Second) {
			return ctx.Err()
		}
		if err := v.hub.stop(); err != nil {
			return err
		}
		v.report.Stops++
		if err := v.hub.start(ctx); err != nil {
			return err
		}
	}
	if !sleep(ctx, 3*time.Second) {
		return ctx.Err()
	}
	return v.set(0)
}

func (v *clockVerification) line() string {
	var t Totals
	for _, d := range v.devices {
		t.add(d.client.Stats())
	}
	return fmt.Sprintf("%5s  %d of %d connected  %d frames made, %d unacked",
		time.Since(v.began).Round(time.Second), t.Connected, len(v.devices), t.Created, t.Unacked)
}

// ClockReport is the outcome of VerifyClock.
type ClockReport struct {
	Seed      uint64
	Kills     int // of the hub
	Stops     int // of the hub, cleanly
	Settings  int // of its clock
	Devices   int
	Frames    uint64
	Qualities map[string]uint64 // of the times that were stored
	Fresh     time.Duration     // after the last setting: until nothing looked stale
	findings
}

// String is the table for people.
func (r *ClockReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices, %d settings of the hub's clock, %d kills of the hub and %d stops, seed %d\n",
		r.Devices, r.Settings, r.Kills, r.Stops, r.Seed)
	fmt.Fprintf(&b, "  %-24s %10d\n", "frames created", r.Frames)
	for _, q := range []string{"device", "converted", "received", "doubtful"} {
		fmt.Fprintf(&b, "  %-24s %10d\n", "  time "+q, r.Qualities[q])
	}
	fmt.Fprintf(&b, "  nothing looked stale %v after the clock was right\n", r.Fresh.Round(time.Second))
	r.conclude(&b, "nothing is missing, and every time is right by the hub's clock, or marked", "")
	return b.String()
}
