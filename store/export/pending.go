package export

import (
	"errors"
	"slices"

	"github.com/fxamacker/cbor/v2"
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
func (e *Export) Load(value []byte) error {
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

// Record returns what a checkpoint has to write, nil for nothing, and the lowest position in it.
func (e *Export) Record() (value []byte, first uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writer == nil {
		return nil, e.saved
	}
	r := record{Counts: e.counts}
	for _, s := range e.pending {
		r.Pending = append(r.Pending, s.first, s.next)
	}
	value, err := cbor.Marshal(&r)
	if err != nil {
		panic(err) // numbers only
	}
	return value, e.pending.first()
}

// Recorded says that hub.db has a record whose lowest position is first.
func (e *Export) Recorded(first uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.saved = first
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
	waiting, nothing := e.pending.count(e.journal.Next()), e.pending == nil
	e.mu.Unlock()
	if nothing {
		return nil
	}
	if err := e.Deps.Forget(); err != nil {
		return err
	}
	e.mu.Lock()
	e.pending, e.saved = nil, endless
	e.mu.Unlock()
	if waiting > 0 {
		e.Log.Warn("nothing is exported to InfluxDB any more; what waited for it is given up", "entries", waiting)
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
		e.Dropped(s.first, s.next-1)
	}
	e.mu.Lock() // only now: what is counted has its gap
	e.counts.Dropped += gone.count(first)
	e.mu.Unlock()
}
