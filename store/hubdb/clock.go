package hubdb

import (
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// clockRecord says which clock the times in a part of hub.db are by. When the clock is set, each part moves its times and its
// record in one transaction.
type clockRecord struct {
	_       struct{} `cbor:",toarray"`
	Machine uint64   // names the boot of the machine
	Base    int64    // see wallclock.Clock.Base
}

// PutClock records that the times of the part with this key are by the clock with this base.
func PutClock(tx *bbolt.Tx, key []byte, clock *wallclock.Clock, base int64) error {
	return PutChanged(tx.Bucket(BucketMeta), key, Encode(&clockRecord{Machine: clock.Machine(), Base: base}))
}

// LoadClock moves the view of a part to the clock that its times are by. If the machine has booted since, they are taken to be by
// the clock as it is. It returns false if the clock is still to be recorded.
func (db *DB) LoadClock(tx *bbolt.Tx, key []byte, clock *wallclock.Clock, view *wallclock.View) (recorded bool) {
	recorded = clock.Machine() == 0
	db.One(tx, BucketMeta, key, func(value []byte) error {
		var r clockRecord
		if err := cbor.Unmarshal(value, &r); err != nil {
			return err
		}
		if r.Machine == clock.Machine() {
			recorded = true
			view.Follow(r.Base)
		}
		return nil
	})
	return recorded
}

// Time is a time in ns since 1970 as records have it; 0 is none.
func Time(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
