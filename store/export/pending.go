package export

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// record is what hub.db has of the export.
type record struct {
	_       struct{} `cbor:",toarray"`
	Pending []uint64 // first, next, first, next, …
	Counts  Counts
}

var errRecord = errors.New("damaged record")

// Load takes from hub.db what was pending when it was written. Without it everything that the journal has is exported again,
// and overwrites itself.
func (e *Export) Load(db *hubdb.DB) error {
	e.db = db
	return db.View(func(tx *bbolt.Tx) error {
		db.One(tx, hubdb.BucketMeta, hubdb.KeyExport, e.load)
		return nil
	})
}

func (e *Export) load(value []byte) error {
	var r record
	if err := cbor.Unmarshal(value, &r); err != nil {
		return err
	}
	var pending positions
	for pair := range slices.Chunk(r.Pending, 2) {
		if len(pair) != 2 || pair[0] >= pair[1] || len(pending) > 0 && pending[len(pending)-1].next >= pair[0] {
			return errRecord
		}
		pending = append(pending, span{pair[0], pair[1]})
	}
	e.pending, e.counts, e.saved = pending, r.Counts, pending.first()
	return nil
}

// Section is the export's share of a checkpoint: what is pending.
func (e *Export) Section() (put func(*bbolt.Tx) error, done func(error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writer == nil { // what hub.db has stays as it is
		return func(*bbolt.Tx) error { return nil }, func(error) {}
	}
	r := record{Counts: e.counts}
	for _, s := range e.pending {
		r.Pending = append(r.Pending, s.first, s.next)
	}
	value, first := hubdb.Encode(&r), e.pending.first()
	put = func(tx *bbolt.Tx) error { return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyExport, value) }
	return put, func(err error) {
		if err != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.saved = first
	}
}

// Floor is the lowest position that hub.db says is pending: the journal keeps it and what follows.
func (e *Export) Floor() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.saved
}

// Reached is the lowest position that is pending.
func (e *Export) Reached() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending.first()
}

// Forget gives up what still waits to be exported, so that the journal need not keep it. A hub that is configured to export
// nowhere calls it.
func (e *Export) Forget() error {
	e.mu.Lock()
	waiting, nothing := e.pending.count(e.deps.Journal.Next()), e.pending == nil
	e.mu.Unlock()
	if nothing {
		return nil
	}
	if err := e.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(hubdb.BucketMeta).Delete(hubdb.KeyExport) }); err != nil {
		return fmt.Errorf("forget what waits for InfluxDB: %w", err)
	}
	e.mu.Lock()
	e.pending, e.saved = nil, endless
	e.mu.Unlock()
	if waiting > 0 {
		e.log.Warn("nothing is exported to InfluxDB any more; what waited for it is given up", "entries", waiting)
	}
	return nil
}

// claim says that a batch is on its way. It returns false if it must not go: some of it was given up while it was being filled,
// and a gap says so already.
func (e *Export) claim(s span) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if all, ok := e.pending.within(s); !ok || all != s {
		return false
	}
	e.inFlight = append(e.inFlight, s)
	return true
}

// finish says that the positions of a batch need not be exported any more.
func (e *Export) finish(s span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inFlight = slices.DeleteFunc(e.inFlight, func(f span) bool { return f == s })
	e.pending = e.pending.remove(s).bounded(maxSpans)
}

// Drop gives up the positions before first, which the journal does not have any more, and reports them as gaps. A batch on its
// way may still arrive.
func (e *Export) Drop(first uint64) {
	e.mu.Lock()
	var gone positions
	if e.writer != nil {
		for limits := (span{0, first}); ; {
			s, ok := e.pending.within(limits)
			if !ok {
				break
			}
			gone = append(gone, s)
			limits.first = s.next
		}
		for _, f := range e.inFlight {
			gone = gone.remove(f)
		}
		for _, s := range gone {
			e.pending = e.pending.remove(s)
		}
	}
	e.mu.Unlock()
	for _, s := range gone {
		e.deps.Outages.EnterGap(outages.Gap{
			First: s.first, Last: s.next - 1, Tail: Name,
			Cause: "dropped from the journal before they were exported to InfluxDB",
		})
	}
	e.mu.Lock() // only now: what is counted has its gap
	e.counts.Dropped += gone.count(first)
	e.mu.Unlock()
}
