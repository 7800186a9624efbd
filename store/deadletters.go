package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

// ErrNoExport says that the store exports nowhere.
var ErrNoExport = errors.New("no InfluxDB is configured")

const (
	replayPage  = 500     // letters read at once
	replayBytes = 1 << 20 // of lines sent at once

	retryRefused = 2 * time.Second // a checkpoint with what was refused
)

// maxRefusedWaiting is how many refused frames may wait for a checkpoint before the export does.
const maxRefusedWaiting = 2000

// keepRefused has what InfluxDB refused kept as dead letters, or returns false if ctx ends first. While hub.db can't be written, only
// so many wait in memory.
func (s *Store) keepRefused(ctx context.Context, lines []export.Refused) bool {
	var letters []ledger.DeadLetter
	for _, r := range lines {
		letters = append(letters, ledger.DeadLetter{
			Position: r.Position, Device: r.Device, Received: r.Received, Seq: r.Seq, Text: r.Text, Message: r.Message, Lines: r.Lines,
		})
	}
	waiting := s.Ledger.AddDeadLetters(letters)
	for waiting > maxRefusedWaiting && s.Ledger.Checkpoint() != nil {
		select {
		case <-time.After(retryRefused):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Replayed says how dead letters fared that were sent to InfluxDB again.
type Replayed struct {
	Accepted int `json:"accepted"` // letters, now dropped
	Refused  int `json:"refused"`  // letters, still kept
}

// ReplayDeadLetters sends what InfluxDB refused once more: the letters at these positions, or all for nil. Letters of
// frames the hub itself refused are passed over. On an error some may have been sent. Run must be running.
func (s *Store) ReplayDeadLetters(ctx context.Context, at []uint64) (r Replayed, err error) {
	if s.Export.Writer() == nil {
		return r, ErrNoExport
	}
	for after := uint64(0); ; {
		letters, err := s.Ledger.DeadLetters(after, replayPage)
		if err != nil || len(letters) == 0 {
			return r, err
		}
		after = letters[len(letters)-1].Position
		letters = slices.DeleteFunc(letters, func(l ledger.DeadLetter) bool {
			return l.Lines == 0 || at != nil && !slices.Contains(at, l.Position)
		})
		for len(letters) > 0 {
			var b influx.Batch
			n := 0
			for n < len(letters) && b.Bytes() < min(replayBytes, s.Export.Writer().MaxBytes()) {
				b.AppendText(letters[n].Message, letters[n].Lines)
				n++
			}
			if err := s.replayLetters(ctx, letters[:n], &b, &r); err != nil {
				return r, err
			}
			letters = letters[n:]
		}
	}
}

func (s *Store) replayLetters(ctx context.Context, letters []ledger.DeadLetter, b *influx.Batch, r *Replayed) error {
	bad, err := s.Export.Writer().Deliver(ctx, b)
	if err != nil {
		return err
	}
	var accepted []uint64
	for i, l := range letters {
		if !slices.ContainsFunc(bad, func(bad influx.Bad) bool { return bad.Line == i }) {
			accepted = append(accepted, l.Position)
		}
	}
	r.Refused += len(bad)
	if len(accepted) == 0 {
		return nil
	}
	dropped, err := s.Ledger.DropDeadLetters(accepted)
	r.Accepted += dropped
	return err
}
