// Package outages knows why readings are missing: when the hub ran, when each device was connected, which frames a device declared
// lost, and which part of the journal is gone.
//
// Who was connected and what was lost is recorded with the ledger's checkpoints: the ledger takes a [Snapshot] at the same point
// of the journal as its own, and writes both in one transaction. A start reads the journal from there on, and calls [Log.Lost]
// and [Log.Forget] again as they were called the first time.
package outages

import (
	"errors"
	"log/slog"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Log is what is known. Its methods are safe for concurrent use. Its lock is taken within the ledger's and within transactions of
// hub.db, never around them.
type Log struct {
	// static
	db     *hubdb.DB
	clock  *wallclock.Clock
	alarms *alarms.List
	log    *slog.Logger
	times  *wallclock.View // the clock that runs and connections are by; moved with them

	entering sync.Mutex // held while a gap is entered in memory and in hub.db, so that both get the gaps in the same order

	mu        sync.Mutex
	gaps      []Gap
	runs      []run // the newest last
	starts    int   // how often HubStarted was called
	devices   map[string]*deviceLog
	forgotten []string // removed devices whose history hub.db still has
}

// deviceLog is what is known of one device; guarded by Log.mu.
type deviceLog struct {
	connections []connection // ascending
	losses      []*loss      // in the order they were declared
	sessions    int          // open; a new one may begin before the old one has ended
	changed     bool         // since the last snapshot
}

// Open reads what hub.db has.
func Open(db *hubdb.DB, clock *wallclock.Clock, alarms *alarms.List, log *slog.Logger) (*Log, error) {
	l := &Log{db: db, clock: clock, alarms: alarms, log: log, times: clock.View(), devices: map[string]*deviceLog{}}
	err := db.View(func(tx *bbolt.Tx) error {
		db.One(tx, hubdb.BucketMeta, hubdb.KeyRuns, func(v []byte) (err error) {
			l.runs, err = parseRuns(v)
			return err
		})
		return errors.Join(
			db.Each(tx, hubdb.BucketIncidents, func(k, v []byte) error {
				h, err := parseDeviceLog(v)
				if err == nil {
					l.devices[string(k)] = h
				}
				return err
			}),
			db.Each(tx, hubdb.BucketGaps, func(_, v []byte) error {
				g, err := parseGap(v)
				if err == nil {
					l.gaps = append(l.gaps, g)
				}
				return err
			}),
		)
	})
	return l, err
}

// of returns what is known of a device, made if there is nothing; mu is held.
func (l *Log) of(deviceID string) *deviceLog {
	h := l.devices[deviceID]
	if h == nil {
		h = &deviceLog{}
		l.devices[deviceID] = h
	}
	return h
}

// Forget drops what is known of a device that is removed.
func (l *Log) Forget(deviceID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.devices, deviceID)
	l.forgotten = append(l.forgotten, deviceID)
}
