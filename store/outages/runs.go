package outages

import (
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

const maxRuns = 64 // of the hub, that are remembered

// run is one time that the hub served devices, ms since 1970.
type run struct {
	_       struct{} `cbor:",toarray"`
	Started int64
	Known   int64 // up to here it is recorded who was connected
	Ended   int64 // 0: it runs; if it was killed, the last time that it is known to have run
	Orderly bool  // it was stopped, and Ended is when
}

// HubStarted says that devices can connect from now on.
func (l *Log) HubStarted() {
	l.mu.Lock()
	l.endRun(false)
	now := l.times.Now().UnixMilli()
	l.runs = append(l.runs, run{Started: now, Known: now})
	l.runs = slices.Delete(l.runs, 0, max(0, len(l.runs)-maxRuns))
	l.starts++
	l.mu.Unlock()
	// Not with the next checkpoint: killed before, it would seem never to have run. A checkpoint that is being written has this run,
	// too, see Snapshot.Put, and may have written it already.
	err := l.db.Update(func(tx *bbolt.Tx) error {
		l.mu.Lock()
		record := hubdb.Encode(l.runs)
		l.mu.Unlock()
		return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyRuns, record)
	})
	if err != nil {
		l.log.Error("the start of the hub could not be entered in hub.db", "error", err)
	}
}

// HubStopping says that the hub closes the connections of its devices from now on.
func (l *Log) HubStopping() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endRun(true)
}

// Recovered ends the run of a hub that was killed. It is to be called when the journal has been read, with the time of receipt of
// its last block, which that hub wrote. Who was connected then is not known, but at its last checkpoint.
func (l *Log) Recovered(last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.serving(); r != nil {
		if !last.IsZero() {
			r.Ended = max(r.Ended, last.UnixMilli())
		}
		l.endRun(false)
	}
	for _, h := range l.devices {
		for i := range h.connections {
			if c := &h.connections[i]; c.to == 0 {
				c.to = l.knownAfter(c.from)
			}
		}
	}
}

// serving is the run that has not ended, nil if there is none; mu is held.
func (l *Log) serving() *run {
	if n := len(l.runs); n > 0 && l.runs[n-1].Ended == 0 {
		return &l.runs[n-1]
	}
	return nil
}

// endRun ends the run that has not ended; mu is held.
func (l *Log) endRun(orderly bool) {
	r := l.serving()
	if r == nil {
		return
	}
	if r.Orderly = orderly; orderly {
		r.Known = max(r.Started, l.times.Now().UnixMilli())
	}
	r.Ended = max(r.Ended, r.Known)
	for _, h := range l.devices {
		h.sessions = 0
		h.disconnected(r.Known)
	}
}

// knownAfter is up to when it is known who was connected in the run that a moment is in; mu is held.
func (l *Log) knownAfter(at int64) int64 {
	for i := len(l.runs) - 1; i >= 0; i-- {
		if r := &l.runs[i]; r.Started <= at {
			return max(at, r.Known)
		}
	}
	return at
}

// FollowClock says that the clock was set, and has this base now: the run of the hub and its connections get times by the new clock.
func (l *Log) FollowClock(base int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := l.times.Follow(base).Milliseconds()
	if r := l.serving(); r != nil && by != 0 {
		l.moveConnections(r, by)
		r.Started, r.Known = r.Started+by, r.Known+by
	}
}

// ReplayClock says that the clock was set in the run of the hub that the journal tells of. The run itself is not moved: it was
// recorded when it began, perhaps by the new clock already.
func (l *Log) ReplayClock(by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.serving(); r != nil {
		l.moveConnections(r, by.Milliseconds())
	}
}

// moveConnections has the connections of a run follow the clock; mu is held.
func (l *Log) moveConnections(r *run, by int64) {
	for _, d := range l.devices {
		d.move(r.Started, by)
	}
}
