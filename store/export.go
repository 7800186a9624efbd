package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// InfluxOptions says where frames are exported to.
type InfluxOptions struct {
	influx.Config
	BatchLines    int           // in a request at most, give or take a frame; 5,000
	BatchBytes    int           // likewise; 1 MiB
	FlushInterval time.Duration // between two requests with new data at most; 1 s
}

const (
	defaultBatchLines    = 5000
	defaultBatchBytes    = 1 << 20
	defaultFlushInterval = time.Second

	// maxLettersWaiting is how many refused frames may wait for a checkpoint before the export does.
	maxLettersWaiting = 2000
)

// exportTail reads the journal behind the committer and sends its frames to InfluxDB.
//
// Two lanes share the work. The live lane sends what has just been committed. When it finds itself behind, after an outage
// or a restart, it leaps to the end of the journal and leaves what it passes over to the backlog lane, which drains it from
// the oldest on, as fast as the server takes it. So the newest readings arrive at once, however long the outage was.
//
// What is still to be exported is a set of journal positions. Checkpoints write it to hub.db; after a crash, what was
// exported since the last one goes out again, and overwrites itself.
type exportTail struct {
	// static
	store   *Store
	writer  *influx.Writer // nil: nothing is exported, what waits goes on waiting
	options InfluxOptions
	gate    gate
	news    chan struct{} // capacity 1: the journal has grown
	backlog chan struct{} // capacity 1: there is more in the backlog

	mu      sync.Mutex
	pending positions // not yet exported, sent or not
	flying  positions // in batches that are on their way
	live    uint64    // where the live lane goes on; what is pending before is the backlog
	saved   uint64    // the lowest position that hub.db says is pending
	counts  ExportCounts
	refusal lastRefusal
	rates   rates
}

// ExportCounts are what became of frames and their readings. After a crash, what is exported again is counted again.
type ExportCounts struct {
	Lines      uint64 `json:"lines"`         // written
	Refused    uint64 `json:"refused_lines"` // put on the dead-letter shelf
	Dropped    uint64 `json:"dropped"`       // journal entries dropped before they were exported; the gaps say which
	Removed    uint64 `json:"removed"`       // frames of devices that were removed before
	Unreadable uint64 `json:"unreadable"`    // frames that can't be decoded
	influx.Skipped
}

// lastRefusal is the last time the server refused lines.
type lastRefusal struct {
	at   wallclock.Moment
	line string
	text string
}

// exportRecord is what hub.db has of the export.
type exportRecord struct {
	_       struct{} `cbor:",toarray"`
	Pending []uint64 // first, next, first, next, …
	Counts  ExportCounts
}

func newExportTail(s *Store, o *InfluxOptions) (*exportTail, error) {
	t := &exportTail{store: s, news: make(chan struct{}, 1), backlog: make(chan struct{}, 1), saved: endless}
	t.gate = gate{
		alarms: &s.alarms, changed: make(chan struct{}),
		retryMin: retryExportMin, retryTry: retryExportTry, retryMax: retryExportMax, retryDenied: retryExportDenied,
	}
	if o == nil {
		return t, nil
	}
	t.options = *o
	t.options.BatchLines = cmp.Or(o.BatchLines, defaultBatchLines)
	t.options.BatchBytes = cmp.Or(o.BatchBytes, defaultBatchBytes)
	t.options.FlushInterval = cmp.Or(o.FlushInterval, defaultFlushInterval)
	w, err := influx.NewWriter(o.Config)
	if err != nil {
		return nil, err
	}
	t.writer = w
	return t, nil
}

// load takes from hub.db what was pending when it was written. Without it everything that the journal has is exported again, and
// overwrites itself.
func (t *exportTail) load(value []byte) error {
	var r exportRecord
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
	t.pending, t.counts, t.saved = pending, r.Counts, pending.first()
	return nil
}

// begin makes the tail ready for a journal that has been opened.
func (t *exportTail) begin() {
	if t.writer == nil {
		return
	}
	if t.pending == nil { // the first time: everything that is there
		t.pending = positions{{t.store.journal.First(), endless}}
		t.saved = t.pending.first()
	}
	t.live = t.store.journal.Next()
	t.drop(t.store.journal.First())
}

// run exports until ctx ends.
func (t *exportTail) run(ctx context.Context) {
	if t.writer == nil {
		return
	}
	defer t.writer.Close()
	var g errgroup.Group
	g.Go(func() error { t.runLive(ctx); return nil })
	g.Go(func() error { t.runBacklog(ctx); return nil })
	_ = g.Wait() // the lanes return nothing
}

func (t *exportTail) wake() { signal(t.news) }

// floor is the lowest position that hub.db says is pending: the journal keeps it and what follows.
func (t *exportTail) floor() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved
}

// reached is the lowest position that is pending.
func (t *exportTail) reached() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pending.first()
}

// record returns what a checkpoint has to write, nil for nothing, and the lowest position in it.
func (t *exportTail) record() (record []byte, first uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writer == nil {
		return nil, t.saved
	}
	r := exportRecord{Counts: t.counts}
	for _, s := range t.pending {
		r.Pending = append(r.Pending, s.first, s.next)
	}
	return encode(&r), t.pending.first()
}

// recorded says that hub.db has a record whose lowest position is first.
func (t *exportTail) recorded(first uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved = first
}

// fly says that a batch is on its way. It returns false if it must not go: some of it was given up while it was being filled,
// and the books say so already.
func (t *exportTail) fly(s span) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if all, ok := t.pending.within(s); !ok || all != s {
		return false
	}
	t.flying = append(t.flying, s)
	return true
}

// landed says that the positions of a batch need not be exported any more.
func (t *exportTail) landed(s span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying = slices.DeleteFunc(t.flying, func(f span) bool { return f == s })
	t.pending = t.pending.remove(s).bounded(maxSpans)
}

// drop gives up the positions before first, which the journal does not have any more, and enters them in the books. A batch
// on its way may still arrive.
func (t *exportTail) drop(first uint64) {
	t.mu.Lock()
	var gone positions
	if t.writer != nil {
		for limits := (span{0, first}); ; {
			s, ok := t.pending.within(limits)
			if !ok {
				break
			}
			gone = append(gone, s)
			limits.first = s.next
		}
		for _, f := range t.flying {
			gone = gone.remove(f)
		}
		for _, s := range gone {
			t.pending = t.pending.remove(s)
		}
	}
	t.mu.Unlock()
	for _, s := range gone {
		t.store.enterGap(Gap{
			First: s.first, Last: s.next - 1, Tail: exportName,
			Cause: "dropped from the journal before they were exported to InfluxDB",
		})
	}
	t.mu.Lock() // only now: what is counted has its gap
	t.counts.Dropped += gone.count(first)
	t.mu.Unlock()
}

const exportName = "influxdb"

// ForgetExport gives up what still waits to be exported, so that the journal need not keep it. A hub that is configured to
// export nowhere calls it.
func (s *Store) ForgetExport() error {
	t := s.export
	t.mu.Lock()
	waiting, nothing := t.pending.count(s.journal.Next()), t.pending == nil
	t.mu.Unlock()
	if nothing {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyExport) })
	if err != nil {
		return fmt.Errorf("forget what waits for InfluxDB: %w", err)
	}
	t.mu.Lock()
	t.pending, t.saved = nil, endless
	t.mu.Unlock()
	if waiting > 0 {
		s.log.Warn("nothing is exported to InfluxDB any more; what waited for it is given up", "entries", waiting)
	}
	return nil
}
