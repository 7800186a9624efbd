package outages

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// Cause is why there are no readings in a stretch of time.
type Cause string

// The causes; of two that hold at the same time, the first of this list.
const (
	CauseDropped Cause = "dropped"  // the hub had them, and they are gone: a full or damaged journal
	CauseLost    Cause = "lost"     // the device declared them lost
	CauseHubDown Cause = "hub_down" // no hub ran
	CauseOffline Cause = "offline"  // the device was not connected
	CauseExpired Cause = "expired"  // too old for the history's limits
	CauseUnknown Cause = "unknown"  // nothing is known
)

// Silence is a stretch of time without readings, or the part of one that has the same cause.
type Silence struct {
	From, To time.Time
	Cause    Cause
	Text     string // what is known, in words; empty if that is nothing
}

// fact is something that keeps readings away, ms since 1970.
type fact struct {
	from, to int64
	cause    Cause
	text     string
}

// Silences says for the gaps in a device's readings what caused them, each gap in as many parts as it has causes. What is not
// known is not guessed. There are none before the device was registered, and none in the future.
func (s *Store) Silences(deviceID string, d *history.Decimated) []Silence {
	if len(d.Gaps) == 0 {
		return nil
	}
	created := int64(0)
	if dev, err := s.Device(deviceID); err == nil {
		created = dev.Created.UnixMilli()
	}
	facts, now := s.facts(deviceID, d), s.now().UnixMilli()
	if created > now { // the hub's clock was wrong then
		created = 0
	}
	var list []Silence
	for _, gap := range d.Gaps {
		from, to := max(gap.From.UnixMilli(), created), min(gap.To.UnixMilli(), now)
		if to-from <= d.MinGap.Milliseconds() {
			continue
		}
		for _, part := range explain(fact{from: from, to: to, cause: CauseUnknown}, facts, d.MinGap.Milliseconds()) {
			list = append(list, Silence{
				From: time.UnixMilli(part.from).UTC(), To: time.UnixMilli(part.to).UTC(), Cause: part.cause, Text: part.text,
			})
		}
	}
	return list
}

// facts are all that is known about a device, the more telling ones first.
func (s *Store) facts(deviceID string, d *history.Decimated) (facts []fact) {
	expired := d.Expired // nothing is left that was received before
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range d.Damaged {
		facts = append(facts, fact{
			span.From.UnixMilli(), span.To.UnixMilli() + 1, CauseDropped,
			fmt.Sprintf("readings from %s to %s can't be read: a block of history.db is damaged", utc(span.From), utc(span.To)),
		})
	}
	for _, g := range s.gaps {
		if (g.Tail == "" || g.Tail == historyName) && !g.From.IsZero() {
			text := fmt.Sprintf("journal entries received between %s and %s are missing: %s", utc(g.From), utc(g.To), g.Cause)
			facts = append(facts, fact{g.From.UnixMilli(), g.To.UnixMilli(), CauseDropped, text})
		}
	}
	a := s.accounts[deviceID]
	if a != nil {
		for _, l := range a.losses {
			facts = append(facts, fact{l.From / 1000, l.To / 1000, CauseLost, l.text()})
		}
	}
	for i := 1; i < len(s.runs); i++ {
		before, next := &s.runs[i-1], &s.runs[i]
		text := "the hub was stopped"
		if !before.Orderly {
			text = "the hub ended without being stopped; it stored something for the last time at " + utc(time.UnixMilli(before.Ended))
		}
		facts = append(facts, fact{before.Ended, next.Started, CauseHubDown, text})
	}
	facts = append(facts, s.offline(a)...)
	if !expired.IsZero() {
		text := "readings received before " + utc(expired) + " were deleted at the limits of the history"
		facts = append(facts, fact{0, expired.UnixMilli(), CauseExpired, text})
	}
	return facts
}

// offline is when the device is known not to have been connected; mu is held.
func (s *Store) offline(a *account) (facts []fact) {
	const text = "the device was not connected"
	var spells []spell
	since := int64(0)
	if a != nil {
		if spells = a.spells; len(spells) == maxSpells {
			since = spells[0].from // those before are forgotten
		}
	}
	now := s.now().UnixMilli()
	for i := range s.runs {
		r := &s.runs[i]
		at, end := max(r.Started, since), r.Known
		if r.Ended == 0 {
			end = now
		}
		for _, sp := range spells {
			to := sp.to
			if to == 0 {
				to = now
			}
			if to <= at || sp.from >= end {
				continue
			}
			if sp.from > at {
				facts = append(facts, fact{at, sp.from, CauseOffline, text})
			}
			at = max(at, to)
		}
		if at < end {
			facts = append(facts, fact{at, end, CauseOffline, text})
		}
	}
	return facts
}

func (l *loss) text() string {
	reason := "its buffer was full"
	if l.Reason == device.LostCorrupted {
		reason = "its buffer was damaged"
	}
	return fmt.Sprintf("the device declared %d frames lost: %s", l.Count, reason)
}

// utc is a moment in words.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// explain cuts a gap into parts with one cause each. Where several facts hold, the first counts.
func explain(gap fact, facts []fact, least int64) []fact {
	edges := []int64{gap.from, gap.to}
	var within []fact
	for _, f := range facts {
		f.from, f.to = max(f.from, gap.from), min(f.to, gap.to)
		if f.from < f.to {
			within = append(within, f)
			edges = append(edges, f.from, f.to)
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var parts []fact
	for i := 1; i < len(edges); i++ {
		part := gap
		for _, f := range within {
			if f.from <= edges[i-1] && edges[i] <= f.to {
				part = f
				break
			}
		}
		part.from, part.to = edges[i-1], edges[i]
		if n := len(parts); n > 0 && parts[n-1].same(&part) {
			parts[n-1].to = part.to
			continue
		}
		parts = append(parts, part)
	}
	return absorb(parts, least)
}

// absorb leaves out parts that say nothing: between the last reading and what keeps the next ones away, some time without a
// cause always passes, half of least at most; and what has a cause may be interrupted by something shorter than least, such as
// an outage by a restart of the hub.
func absorb(parts []fact, least int64) []fact {
	for i := 0; i < len(parts) && len(parts) > 1; i++ {
		p := parts[i]
		limit := least
		if p.cause == CauseUnknown {
			limit = least / 2
		}
		to := -1
		for _, j := range []int{i - 1, i + 1} {
			if j >= 0 && j < len(parts) && parts[j].cause != CauseUnknown && (to < 0 || parts[j].length() > parts[to].length()) {
				to = j
			}
		}
		if to < 0 || p.length() > limit || p.cause != CauseUnknown && parts[to].length() < p.length() {
			continue
		}
		parts[to].from, parts[to].to = min(parts[to].from, p.from), max(parts[to].to, p.to)
		parts = slices.Delete(parts, i, i+1)
		if i > 0 && i < len(parts) && parts[i-1].same(&parts[i]) {
			parts[i-1].to = parts[i].to
			parts = slices.Delete(parts, i, i+1)
		}
		i = -1 // a neighbour has grown
	}
	return parts
}

func (f *fact) length() int64 { return f.to - f.from }

func (f *fact) same(g *fact) bool { return f.cause == g.cause && f.text == g.text }

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
