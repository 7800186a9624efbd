package outages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// HistoryTail is the Gap.Tail of the local history.
const HistoryTail = "history"

// Gap is a range of journal positions that can't be read any more, or that a tail never read.
type Gap struct {
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Cause    string    `json:"cause"`
	Tail     string    `json:"tail,omitempty"`      // the tail that misses it, if others had it
	SetAside string    `json:"set_aside,omitempty"` // where the damaged file is kept
	From     time.Time `json:"from,omitzero"`       // receipt of the entry before it; zero: not known
	To       time.Time `json:"to,omitzero"`         // receipt of the entry behind it; zero: not known
	Noticed  time.Time `json:"noticed"`
}

// Between returns the gap with the times of receipt of its neighbours, if both are known.
func (g Gap) Between(from, to time.Time) Gap {
	if !from.IsZero() && !to.IsZero() {
		g.From, g.To = from.UTC(), to.UTC()
	}
	return g
}

// Missing is a gap that a reader of the journal passed over.
func Missing(g *tail.Gap) Gap {
	return Gap{First: g.First, Last: g.Last, Cause: g.Cause, SetAside: g.SetAside}.Between(g.From, g.To)
}

// Text says what the gap is.
func (g *Gap) Text() string {
	when := ""
	if !g.From.IsZero() {
		when = fmt.Sprintf(", received between %s and %s,", wallclock.Text(g.From), wallclock.Text(g.To))
	}
	return fmt.Sprintf("journal entries %d to %d%s are missing: %s", g.First, g.Last, when, g.Cause)
}

// Gaps returns the gaps that are known.
func (l *Log) Gaps() []Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Gap{}, l.gaps...)
}

// EnterGap records a gap, unless it is known, and raises an alarm. It is on disk when EnterGap returns, or the log says why not.
func (l *Log) EnterGap(g Gap) {
	g.Noticed = l.clock.Now().UTC()
	l.entering.Lock()
	defer l.entering.Unlock()
	put, dropped, known := l.addGap(g)
	if known {
		return
	}
	err := l.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(hubdb.BucketGaps)
		for i := range dropped {
			if err := b.Delete(dropped[i].key()); err != nil {
				return err
			}
		}
		for i := range put {
			value, err := json.Marshal(&put[i])
			if err != nil {
				return err
			}
			if err := hubdb.Put(b, put[i].key(), value); err != nil {
				return err
			}
		}
		return nil
	})
	l.alarms.Set("gaps", l.gapText())
	if err != nil {
		l.log.Error("a gap could not be entered in hub.db", "first", g.First, "last", g.Last, "error", err)
	}
}

// addGap adds a gap in memory, and returns which gaps are to be put into hub.db and which deleted there before.
func (l *Log) addGap(g Gap) (put, dropped []Gap, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known = slices.ContainsFunc(l.gaps, func(old Gap) bool {
		timed := old.From.IsZero() && !g.From.IsZero() && old.First == g.First && old.Last == g.Last
		return old.First <= g.First && g.Last <= old.Last && (old.Tail == "" || old.Tail == g.Tail) && !timed
	})
	if known {
		return nil, nil, true
	}
	// A long outage drops segment after segment: that is one gap, growing.
	grown := slices.IndexFunc(l.gaps, func(old Gap) bool {
		return old.Last+1 == g.First && old.Tail == g.Tail && old.Cause == g.Cause && g.SetAside == ""
	})
	if grown >= 0 {
		g.First, g.From = l.gaps[grown].First, l.gaps[grown].From
	}
	l.gaps = slices.DeleteFunc(l.gaps, func(old Gap) bool { return old.First == g.First && old.Tail == g.Tail && old.Last <= g.Last })
	l.gaps = append(l.gaps, g)
	merged, dropped := l.mergeGaps()
	put = slices.DeleteFunc(append(merged, g), func(p Gap) bool { return !slices.Contains(l.gaps, p) })
	return put, dropped, false
}

// maxGaps is how many gaps are kept apart.
const maxGaps = 256

func (g *Gap) key() []byte { return append(hubdb.Key8(g.First), g.Tail...) }

// mergeGaps makes one gap of the two oldest of a tail while there are too many; mu is held.
func (l *Log) mergeGaps() (merged, dropped []Gap) {
	for len(l.gaps) > maxGaps {
		oldest := l.gaps[0]
		i := slices.IndexFunc(l.gaps[1:], func(g Gap) bool { return g.Tail == oldest.Tail }) + 1
		if i == 0 { // the only one of its tail: another one's turn
			l.gaps = append(l.gaps[1:], oldest)
			continue
		}
		next := l.gaps[i]
		dropped = append(dropped, oldest, next)
		if next.First < oldest.First {
			oldest, next = next, oldest
		}
		oldest.Last = max(oldest.Last, next.Last)
		oldest = oldest.Between(oldest.From, next.To)
		if !strings.HasPrefix(oldest.Cause, severalGaps) {
			oldest.Cause = severalGaps + oldest.Cause
		}
		l.gaps = slices.Delete(l.gaps, i, i+1)
		l.gaps[0] = oldest
		merged = []Gap{oldest}
	}
	return merged, dropped
}

const severalGaps = "several gaps, the first: "

// gapText says what the newest gap is.
func (l *Log) gapText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gaps[len(l.gaps)-1]
	text := fmt.Sprintf("journal entries %d to %d are missing: %s", g.First, g.Last, g.Cause)
	if g.SetAside != "" {
		text += "; the damaged file is kept as " + g.SetAside
	}
	if n := len(l.gaps) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d earlier gaps)", n)
	}
	return text
}
