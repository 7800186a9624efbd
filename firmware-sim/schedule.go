package firmwaresim

import (
	"context"
	"time"
)

// shortestPause bounds how often the one timer of a schedule fires. Frames due within it go out together.
const shortestPause = 5 * time.Millisecond

// schedule makes devices take turns at measuring. One timer serves them all, and their phases are spread evenly: device i of
// n measures i/n of an interval after device 0.
type schedule struct {
	devices []func(at time.Time) error
	step    time.Duration // between the turns of one device and the next
}

// newSchedule lets each device measure rate times a second.
func newSchedule(rate float64, devices []func(at time.Time) error) *schedule {
	step := time.Duration(float64(time.Second) / (rate * float64(len(devices))))
	return &schedule{devices: devices, step: max(step, 1)}
}

// run gives turns until ctx ends. Turns missed because the machine was busy are made up for, each with its own time.
func (r *schedule) run(ctx context.Context) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for turn := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			for ; r.due(start, turn).Before(now); turn++ {
				if err := r.devices[turn%len(r.devices)](r.due(start, turn)); err != nil {
					return err
				}
			}
			timer.Reset(max(time.Until(r.due(start, turn)), shortestPause))
		}
	}
}

func (r *schedule) due(start time.Time, turn int) time.Time {
	return start.Add(time.Duration(turn) * r.step)
}
