package store

import (
	"context"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// Decimated sums up local readings. It first waits until the history has everything that was acknowledged before the call;
// Run must be running. If q.Expected is 0, the shortest interval that the channels name is taken.
func (s *Store) Decimated(ctx context.Context, q history.DecimateQuery) (*history.Decimated, error) {
	if q.Expected == 0 {
		q.Expected = shortestInterval(q.Channels)
	}
	if err := s.tail.reach(ctx, s.journal.Next()); err != nil {
		return nil, err
	}
	return s.history.Load().Decimate(ctx, q)
}

func shortestInterval(channels []*device.Channel) (shortest time.Duration) {
	for _, ch := range channels {
		if d := time.Duration(ch.Interval) * time.Millisecond; d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

// Silences says for the gaps in a device's readings what caused them.
func (s *Store) Silences(deviceID string, d *history.Decimated) []outages.Silence {
	var registered time.Time
	if dev, err := s.Devices.Get(deviceID); err == nil {
		registered = dev.Created
	}
	return s.Outages.Silences(deviceID, registered, d)
}
