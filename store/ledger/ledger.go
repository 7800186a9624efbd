// Package ledger takes frames in, makes them durable, and keeps the books: for every device it knows which sequence numbers it has,
// and how many frames were stored, dropped as duplicates, rejected or declared lost.
//
// A session hands a frame to its [Ingest], which drops duplicates and appends the rest to the batch being filled. One committer
// writes the batch to the journal with a single fdatasync, at most once per commit window. Only then is it settled: the books count
// it as durable, and the sessions are called to acknowledge it. The tails read the journal behind the committer.
//
// The books live in memory. A checkpoint writes them to hub.db, in one transaction with the journal position that they reach, which
// is always the end of a batch. A start loads them and replays the journal from there on, which gives the same books again.
package ledger

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Errors a caller decides on.
var (
	ErrClosed    = errors.New("store: closed")
	ErrTooSparse = errors.New("store: too many separate ranges of sequence numbers")
	ErrFarAhead  = errors.New("store: a sequence number far above those in use")
)

const (
	commitBytes = 256 << 10 // a batch this large is committed before its window is over
	maxPending  = 2 << 20   // a batch this large takes no more: sessions wait, and TCP holds their devices back
)

// Options are the settings of a ledger, and what it works with.
type Options struct {
	Dir          string        // the data directory
	CommitWindow time.Duration // least time between two commits
	MaxBytes     int64         // of the journal: above it the oldest segment goes, read by every tail or not
	MaxAge       time.Duration // of the journal, since receipt; 0: no limit
	HistoryAge   time.Duration // likewise, of the history
	SegmentBytes int64         // of entries, then the next batch begins a segment; 0: as suits MaxBytes and the disk

	Log          *slog.Logger
	Clock        *wallclock.Clock
	Alarms       *alarms.List
	DB           *hubdb.DB
	Outages      *outages.Log
	Sources      *tail.Sources
	Schemas      *tail.Schemas
	Space        func(dir string) Space
	History      func() *history.History                 // the one in use; it may be replaced
	HistoryRead  func() (next uint64, working bool)      // the position that the history reads next; false: it can't go on
	NoteSchema   func(deviceID string, hash device.Hash) // the replay found a frame of a device with that schema
	SchemasInUse func() map[device.Hash]bool             // those of all devices
	Durable      []DurableTail                           // beside the history
	Sections     []Section
}

// DurableTail is a tail to somewhere else, for which the journal keeps what it has not passed on.
type DurableTail struct {
	Floor   func() uint64      // hub.db says that the tail has passed everything before: the journal keeps it and what follows
	Reached func() uint64      // the tail has passed everything before
	Drop    func(first uint64) // the journal begins there now
}

// Section is another part's share of a checkpoint. It is called before the transaction. put writes into it, and done is called
// with its error behind it, nil when it is on disk.
type Section func() (put func(*bbolt.Tx) error, done func(error))

// Ledger is the books, and, while Run runs, the goroutines that write the journal and them.
type Ledger struct {
	// static
	opts         Options
	log          *slog.Logger
	wall         *wallclock.Clock
	now          func() time.Time // of wall
	alarms       *alarms.List
	db           *hubdb.DB
	outages      *outages.Log
	journal      *journal.Journal // from Recover on
	tails        *tail.Log        // likewise
	segmentBytes int64            // of entries; then the next batch begins a segment

	recount func(id string) bool // whose accounts the replay makes again; nil: nobody's
	ages    atomic.Pointer[ages] // what times of receipt mean; nil: not known yet

	trimming sync.Mutex
	dropped  time.Time // when entries were dropped that not everything had read; guarded by trimming

	latencies latencies
	numbering numbering
	diskPace  diskPace
	throttle  throttle

	progress      atomic.Uint64
	work          chan struct{}   // capacity 1: the batch being filled is no longer empty
	full          chan struct{}   // capacity 1: the batch being filled has reached commitBytes
	trimNow       chan struct{}   // capacity 1: the journal is over its limit, or the disk nearly full
	checkpointNow chan chan error // somebody asks for a checkpoint
	checkpoints   chan *checkpoint
	idle          chan struct{} // capacity 1: holds a token unless a checkpoint is under way
	stopped       chan struct{} // closed when the committer has ended

	mu          sync.Mutex
	filling     *batch
	taken       chan struct{} // closed, and replaced, when the batch being filled is taken away
	failing     failure       // why the journal can't be written, if it can't
	accounts    map[string]*account
	forgotten   []string // removed devices whose books hub.db still has
	letters     pendingLetters
	cursor      uint64          // position up to which hub.db has the books
	segmentUsed int64           // bytes of entries in the segment being filled
	clock       *wallclock.View // the clock that the books are by
	machine     uint64          // the boot of the machine that clock is of
	closed      bool
}

// Open reads the books from hub.db. The ledger can be used when Recover has read the rest in the journal.
func Open(o Options) (*Ledger, error) {
	l := &Ledger{
		opts: o, log: o.Log, wall: o.Clock, now: o.Clock.Now, alarms: o.Alarms, db: o.DB, outages: o.Outages, clock: o.Clock.View(),
		segmentBytes: cmp.Or(o.SegmentBytes, segmentBytesFor(o.MaxBytes, o.Space(o.Dir))),
		numbering:    numbering{alarms: o.Alarms, problems: map[string]string{}},
		work:         make(chan struct{}, 1), full: make(chan struct{}, 1), trimNow: make(chan struct{}, 1),
		checkpointNow: make(chan chan error), checkpoints: make(chan *checkpoint),
		idle: make(chan struct{}, 1), stopped: make(chan struct{}),
		taken: make(chan struct{}), accounts: map[string]*account{},
	}
	l.idle <- struct{}{}
	l.ages.Store(&ages{})
	return l, l.load()
}

// Run commits what is handed in, writes checkpoints and trims the journal. When ctx ends, it commits what was handed in before and
// writes a last checkpoint, or returns the error why it could not. committed is called when the journal does not grow any more; what
// follows it may end then. Run ends by itself, with an error, when hub.db turns out damaged.
func (l *Ledger) Run(ctx context.Context, committed func()) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	// Trimming outlives the committer, which may need it for its last commit.
	trims, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer committed()
		defer stop()
		return l.commitLoop(ctx)
	})
	g.Go(func() error { return l.writeCheckpoints(end) })
	g.Go(func() error { l.retain(trims); return nil })
	g.Go(func() error { l.watchPace(trims); return nil })
	return g.Wait()
}

// Close has every Ingest refuse what comes from now on.
func (l *Ledger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Remove forgets the books of a device, and says so in the journal. They are gone with the next checkpoint.
func (l *Ledger) Remove(deviceID string) {
	l.mu.Lock()
	l.forget(deviceID)
	b := l.filling
	if b.empty() {
		l.openBatch(b)
	}
	b.append(tail.AppendRemoval(nil, deviceID))
	l.mu.Unlock()
	l.numbering.note(deviceID, "")
	notify.Signal(l.work)
}

// forget drops the books of a device; mu is held.
func (l *Ledger) forget(deviceID string) {
	if a := l.accounts[deviceID]; a != nil {
		a.removed = true
		delete(l.accounts, deviceID)
	}
	l.forgotten = append(l.forgotten, deviceID)
	l.outages.Forget(deviceID)
}

// Cursor is the journal position up to which hub.db has the books.
func (l *Ledger) Cursor() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor
}

// Progress moves on every turn of the committer, at least once a second while it works: it feeds the watchdog.
func (l *Ledger) Progress() uint64 { return l.progress.Load() }
