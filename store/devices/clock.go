package devices

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// FollowClock moves the ends of tokens by as much as the clock was set: none ends for it, and none lasts longer than it may. After
// an error it is as if that had not been noticed yet.
func (r *Registry) FollowClock() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.times.Behind() == 0 && r.clockRecorded {
		return nil
	}
	base := r.clock.Base()
	by := time.Duration(base-r.times.Base()) * time.Microsecond
	last := r.times.Now().Add(by + tokenOverlap).UTC()
	edits := map[string]edit{}
	for _, d := range r.sorted() {
		if len(d.Tokens) < 2 { // the only one never ends
			continue
		}
		edits[d.ID] = func(d *Device) *Device {
			for i := range d.Tokens {
				if t := &d.Tokens[i]; !t.Expires.IsZero() {
					t.Expires = wallclock.Earlier(t.Expires.Add(by), last)
				}
			}
			return d
		}
	}
	c := r.plan(edits)
	err := r.db.Update(func(tx *bbolt.Tx) error {
		if err := c.put(tx); err != nil {
			return err
		}
		return hubdb.PutClock(tx, hubdb.KeyTokensClock, r.clock, base)
	})
	if err != nil {
		return fmt.Errorf("write the registry: %w", err)
	}
	r.mu.Lock()
	r.times.Follow(base)
	r.publish(c)
	r.mu.Unlock()
	r.clockRecorded = true
	if len(edits) > 0 {
		r.writeCopy()
	}
	return nil
}
