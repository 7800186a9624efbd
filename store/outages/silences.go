package outages

import (
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
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

// Silences says for the gaps in the readings of a device what caused them, each gap in as many parts as it has causes. What is not
// known is not guessed. There are none before the device was registered, and none in the future.
func (l *Log) Silences(deviceID string, registered time.Time, d *history.Decimated) []Silence {
	if len(d.Gaps) == 0 {
		return nil
	}
	facts, now, created := l.facts(deviceID, d), l.times.Now().UnixMilli(), int64(0)
	if !registered.IsZero() && registered.UnixMilli() <= now { // later: the hub's clock was wrong then
		created = registered.UnixMilli()
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

// facts are all that is known about a device, those that count more first.
func (l *Log) facts(deviceID string, d *history.Decimated) (facts []fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, span := range d.Damaged {
		facts = append(facts, fact{
			span.From.UnixMilli(), span.To.UnixMilli() + 1, CauseDropped,
			fmt.Sprintf("readings from %s to %s can't be read: a block of history.db is damaged", wallclock.Text(span.From), wallclock.Text(span.To)),
		})
	}
	for _, g := range l.gaps {
		if (g.Tail == "" || g.Tail == HistoryTail) && !g.From.IsZero() {
			text := fmt.Sprintf("journal entries received between %s and %s are missing: %s", wallclock.Text(g.From), wallclock.Text(g.To), g.Cause)
			facts = append(facts, fact{g.From.UnixMilli(), g.To.UnixMilli(), CauseDropped, text})
		}
	}
	var connections []connection
	if known := l.devices[deviceID]; known != nil {
		connections = known.connections
		for _, lost := range known.losses {
			facts = append(facts, fact{lost.From / 1000, lost.To / 1000, CauseLost, lost.text()})
		}
	}
	for i := 1; i < len(l.runs); i++ {
		before, next := &l.runs[i-1], &l.runs[i]
		text := "the hub was stopped"
		if !before.Orderly {
			text = "the hub ended without being stopped; it stored something for the last time at " + wallclock.Text(time.UnixMilli(before.Ended))
		}
		facts = append(facts, fact{before.Ended, next.Started, CauseHubDown, text})
	}
	facts = append(facts, l.offline(connections)...)
	if !d.Expired.IsZero() {
		text := "readings received before " + wallclock.Text(d.Expired) + " were deleted at the limits of the history"
		facts = append(facts, fact{0, d.Expired.UnixMilli(), CauseExpired, text})
	}
	return facts
}

// offline is when a device with these connections is known not to have been connected; mu is held.
func (l *Log) offline(connections []connection) (facts []fact) {
	const text = "the device was not connected"
	since := int64(0)
	if len(connections) == maxConnections {
		since = connections[0].from // those before are forgotten
	}
	now := l.times.Now().UnixMilli()
	for i := range l.runs {
		r := &l.runs[i]
		at, end := max(r.Started, since), r.Known
		if r.Ended == 0 {
			end = now
		}
		for _, c := range connections {
			to := c.to
			if to == 0 {
				to = now
			}
			if to <= at || c.from >= end {
				continue
			}
			if c.from > at {
				facts = append(facts, fact{at, c.from, CauseOffline, text})
			}
			at = max(at, to)
		}
		if at < end {
			facts = append(facts, fact{at, end, CauseOffline, text})
		}
	}
	return facts
}

// utc is a moment in words.
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

// absorb joins parts that say nothing to a neighbour: between the last reading and what keeps the next ones away, some time without
// a cause always passes, half of least at most; and what has a cause may be interrupted by something shorter than least, such as an
// outage by a restart of the hub.
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
