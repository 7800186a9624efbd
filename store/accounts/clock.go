package accounts

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// FollowClock moves the times of sessions by as much as the clock was set: nobody is logged out for it, and nobody stays longer. What
// would be in the future then, because the clock was set back while the machine was off, is now.
func (a *Accounts) FollowClock() error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.times.Behind() == 0 && a.clockRecorded {
		return nil
	}
	base, oldBase := a.clock.Base(), a.times.Base()
	by := time.Duration(base-oldBase) * time.Microsecond
	old, moved, now := a.sessions, map[secrets.Hash]*session{}, a.now().Add(by).UTC()
	for hash, e := range old {
		created, seen := e.created.Add(by), e.seen.time().Add(by)
		moved[hash] = &session{user: e.user, created: wallclock.Earlier(created, now)}
		moved[hash].seen.at.Store(wallclock.Earlier(seen, now).Unix())
	}
	use := func(sessions map[secrets.Hash]*session, base int64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sessions = sessions
		a.times.Follow(base)
	}
	err := a.update(func(tx *bbolt.Tx) error {
		use(moved, base) // within the transaction: the next checkpoint records sessions, too
		for hash, e := range moved {
			value, err := e.record()
			if err != nil {
				return err
			}
			if err := hubdb.PutChanged(tx.Bucket(hubdb.BucketSessions), hash[:], value); err != nil {
				return err
			}
		}
		return hubdb.PutClock(tx, hubdb.KeySessionsClock, a.clock, base)
	})
	if err != nil { // as if it had not been noticed yet
		use(old, oldBase)
		return err
	}
	a.clockRecorded = true
	return nil
}
