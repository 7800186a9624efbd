package export

import (
	"math"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Status is the state of the export to InfluxDB.
type Status struct {
	URL     string    `json:"url"`
	Bucket  string    `json:"bucket"`
	State   string    `json:"state"` // "reachable", "dropping lines", "backing off" or "paused"
	Since   time.Time `json:"since,omitzero"`
	Reason  string    `json:"reason,omitempty"`    // with the server's words
	NextTry time.Time `json:"next_try,omitzero"`   // when backing off or paused
	Sample  string    `json:"sample,omitempty"`    // a line refused lately, when dropping lines
	Waiting Waiting   `json:"waiting"`             // committed, not yet exported
	Rate    float64   `json:"rate"`                // journal entries exported a second, lately
	Done    time.Time `json:"done,omitzero"`       // when nothing will wait, at the present rates
	Horizon time.Time `json:"horizon,omitzero"`    // when the journal drops what waits, if nothing is exported from now on
	Oldest  time.Time `json:"drops_from,omitzero"` // what it drops first: the frames received from then on
	Counts
}

// Waiting is what a tail has not read yet.
type Waiting struct {
	Entries uint64    `json:"entries"` // of the journal; nearly all are frames
	Bytes   int64     `json:"bytes"`   // about as many bytes of journal
	Oldest  time.Time `json:"oldest,omitzero"`
}

// Status returns the state of the export, nil if there is none.
func (e *Export) Status() *Status {
	if e.writer == nil {
		return nil
	}
	j := e.deps.Journal
	segments, next := j.Segments(), j.Next()
	s := &Status{URL: e.options.URL, Bucket: e.options.Bucket}
	// By the clock as it is now: it may have been set since.
	now, at := e.clock.Now(), time.Now()
	e.gate.mu.Lock()
	s.State, s.Reason = e.gate.state(), e.gate.reason
	if !e.gate.since.IsZero() {
		s.Since = now.Add(e.gate.since.Sub(at)).UTC()
	}
	if e.gate.verdict != 0 {
		s.NextTry = now.Add(e.gate.next.Sub(at)).UTC()
	}
	reachable := e.gate.verdict == 0
	e.gate.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if clock := e.clock; reachable && e.refusal.at != 0 && clock.Since(e.refusal.at) <= refusalFresh {
		s.State, s.Since, s.Reason, s.Sample = "dropping lines", clock.Time(e.refusal.at), e.refusal.text, e.refusal.line
	}
	s.Counts = e.counts
	s.Waiting = waiting(e.pending, segments, next)
	in, out := e.rates.perSecond()
	s.Rate = out
	if net := out - in; s.Waiting.Entries > 0 && net > 0 && reachable {
		s.Done = after(now, float64(s.Waiting.Entries)/net)
	}
	s.Horizon = e.horizon(now, s.Waiting, in*entryBytes(segments))
	if !s.Horizon.IsZero() {
		s.Oldest = s.Waiting.Oldest
		if s.Oldest.IsZero() {
			s.Oldest = now.UTC()
		}
	}
	return s
}

// horizon is when the journal reaches its limit if nothing is exported any more, and grows by rate bytes a second.
func (e *Export) horizon(now time.Time, w Waiting, rate float64) (at time.Time) {
	if rate > 0 {
		at = after(now, max(float64(e.deps.MaxBytes-w.Bytes), 0)/rate)
	}
	if age := e.deps.MaxAge; age > 0 {
		oldest := now
		if !w.Oldest.IsZero() {
			oldest = w.Oldest
		}
		if old := oldest.Add(age).UTC(); at.IsZero() || old.Before(at) {
			at = old
		}
	}
	return at
}

// after is so many seconds from now, zero if nobody will see that day.
func after(now time.Time, seconds float64) time.Time {
	const century = 100 * 365 * 24 * 3600
	if math.IsNaN(seconds) || seconds > century {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds * float64(time.Second))).UTC()
}

// waiting measures pending positions; within a segment entries are taken as equally long and equally far apart in time.
func waiting(pending positions, segments []journal.Segment, next uint64) Waiting {
	w := Waiting{Entries: pending.count(next)}
	for _, segment := range segments {
		all := segment.Next - segment.First
		own := span{segment.First, segment.Next}
		first, ok := pending.within(own)
		if !ok {
			continue
		}
		if w.Oldest.IsZero() {
			share := float64(first.first-segment.First) / float64(all)
			w.Oldest = segment.Oldest.Add(time.Duration(share * float64(segment.Newest.Sub(segment.Oldest)))).UTC()
		}
		in := pending.count(segment.Next) - pending.count(segment.First)
		w.Bytes += int64(float64(segment.Bytes) * float64(in) / float64(all))
	}
	return w
}

// entryBytes is how many bytes of journal an entry takes on average.
func entryBytes(segments []journal.Segment) float64 {
	var bytes, entries float64
	for _, segment := range segments {
		bytes += float64(segment.Bytes)
		entries += float64(segment.Next - segment.First)
	}
	return bytes / max(entries, 1)
}

// sampleEvery is how often Run calls Sample.
const sampleEvery = 5 * time.Second

// rates are samples of how far the journal and the export were, a ring of the last two minutes.
type rates struct {
	samples [2*time.Minute/sampleEvery + 1]rateSample
	n       int // taken so far
}

type rateSample struct {
	at       wallclock.Moment
	next     uint64 // position in the journal
	exported uint64 // entries before it that are
}

// Sample notes how far the journal and the export are.
func (e *Export) Sample() {
	next := e.deps.Journal.Next()
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.rates
	r.samples[r.n%len(r.samples)] = rateSample{e.clock.Moment(), next, next - e.pending.count(next)}
	r.n++
}

// perSecond returns how many entries the journal got, and how many were exported, each second.
func (r *rates) perSecond() (in, out float64) {
	if r.n < 2 {
		return 0, 0
	}
	newest := r.samples[(r.n-1)%len(r.samples)]
	oldest := r.samples[max(0, r.n-len(r.samples))%len(r.samples)]
	seconds := float64(newest.at-oldest.at) / 1e6
	if seconds <= 0 {
		return 0, 0
	}
	// What was given up at the journal's limit counts as exported here; it makes nobody wait.
	return float64(newest.next-oldest.next) / seconds, max(0, (float64(newest.exported)-float64(oldest.exported))/seconds)
}
