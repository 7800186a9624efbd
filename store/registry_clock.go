package store

import (
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// followClock moves the ends of tokens by as much as the clock was set: none ends for it, and none lasts longer than it may.
func (r *registry) followClock() error {
	r.lock()
	defer r.unlock()
	if r.clock.Behind() == 0 && r.clockRecorded {
		return nil
	}
	base := r.store.clock.Base()
	by := r.clock.Follow(base)
	last, changed := r.clock.Now().Add(tokenOverlap).UTC(), map[string]*Device{}
	for id, d := range r.devices {
		for i, t := range d.Tokens {
			if end := wallclock.Earlier(t.Expires.Add(by), last); !t.Expires.IsZero() && !end.Equal(t.Expires) {
				if changed[id] == nil {
					changed[id] = d.clone()
				}
				changed[id].Tokens[i].Expires = end
			}
		}
	}
	err := r.write(changed, func(tx *bbolt.Tx) error { return hubdb.PutClock(tx, hubdb.KeyTokensClock, r.store.clock, base) })
	if err != nil { // as if it had not been noticed yet
		r.clock.Follow(base - by.Microseconds())
		return err
	}
	r.clockRecorded = true
	return nil
}
