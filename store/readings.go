package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/history/feed"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// Readings streams local readings in time order; equal times come in the order they were received. It first waits until
// the history has everything that was acknowledged before the call; Run must be running. If it can't go on, an error comes behind
// all it has. A [*history.IncompleteError] comes behind all there is, if damage or a gap in the books have made some of it go missing.
func (s *Store) Readings(ctx context.Context, q history.Query) iter.Seq2[history.Reading, error] {
	return func(yield func(history.Reading, error) bool) {
		late := s.reach(ctx)
		if ctx.Err() != nil || errors.Is(late, ErrClosed) {
			yield(history.Reading{}, cmp.Or(late, context.Cause(ctx))) // it may end just after everything was there
			return
		}
		for r, err := range s.history.Current().Readings(ctx, q) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		if late != nil {
			yield(history.Reading{}, fmt.Errorf("the newest readings can't be had while the history can't be written: %w", late))
			return
		}
		if err := s.gapIn(q); err != nil {
			yield(history.Reading{}, err)
		}
	}
}

// reach waits until the history has everything that has been acknowledged.
func (s *Store) reach(ctx context.Context) error {
	err := s.history.Reach(ctx, s.journal.Next())
	if errors.Is(err, feed.ErrStopped) {
		return ErrClosed
	}
	return err
}

// gapIn returns an error if the books know of a gap that readings may be missing by which q selects.
func (s *Store) gapIn(q history.Query) error {
	d, err := s.Devices.Get(q.Device)
	if err != nil {
		return nil // of what was removed nothing is missing
	}
	expired := s.history.Current().Expired()
	for _, g := range s.Outages.Gaps() {
		switch {
		case g.Tail != "" && g.Tail != outages.HistoryTail:
		case g.From.IsZero(): // not known when that was
			return &history.IncompleteError{Device: q.Device, Cause: g.Text()}
		case g.To.Before(d.Created), !expired.IsZero() && !g.To.After(expired):
		case !q.From.IsZero() && g.To.Before(q.From), !q.To.IsZero() && !g.From.Before(q.To):
		default:
			return &history.IncompleteError{Device: q.Device, Cause: g.Text()}
		}
	}
	return nil
}

// Decimated sums up local readings. It first waits until the history has everything that was acknowledged before the call;
// Run must be running. If q.Expected is 0, the shortest interval that the channels name is taken.
func (s *Store) Decimated(ctx context.Context, q history.DecimateQuery) (*history.Decimated, error) {
	if q.Expected == 0 {
		q.Expected = shortestInterval(q.Channels)
	}
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	return s.history.Current().Decimate(ctx, q)
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
