// Package store is everything the hub keeps: the journal of committed frames, the books of every device, the registry,
// the local history and the dead-letter shelf.
//
// A frame's way: a device session hands it to its [Ingest], which drops duplicates and appends the rest to the batch being
// filled. One committer writes the batch to the journal with a single fdatasync, at most once per commit window, and only
// then tells the sessions what they may acknowledge. Everything else is a tail that reads the journal behind the committer.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Errors a caller decides on.
var (
	ErrLocked    = hubdb.ErrLocked
	ErrClosed    = errors.New("store: closed")
	ErrTooSparse = errors.New("store: too many separate ranges of sequence numbers")
	ErrFarAhead  = errors.New("store: a sequence number far above those in use")
)

// Options says where a store lives and how much it may keep. Zero values stand for the defaults named here.
type Options struct {
	Dir             string          // data directory, made if missing
	CommitWindow    time.Duration   // least time between two commits; 50 ms, from 5 ms to 1 s
	JournalMaxBytes int64           // 0: see defaultLimits; above it the oldest segment goes, read by every tail or not
	JournalMaxAge   time.Duration   // since receipt; 0: no limit
	HistoryMaxBytes int64           // 0: see defaultLimits
	HistoryMaxAge   time.Duration   // since receipt; 0: no limit
	Influx          *export.Options // nil: nothing is exported, and what still waits goes on waiting (see export.Export.Forget)
	Logger          *slog.Logger
	Now             func() time.Time // nil: the system's clock; else it is the measure of all time, and never set
	Clock           *wallclock.Clock // instead of Now: a clock that is set; nil: what Now says
}

const (
	defaultCommitWindow = 50 * time.Millisecond
	minCommitWindow     = 5 * time.Millisecond
	maxCommitWindow     = time.Second

	commitBytes = 256 << 10 // a batch this large is committed before its window is over
	maxPending  = 2 << 20   // a batch this large takes no more: sessions wait, and TCP holds their devices back
)

// Store is open files plus, while Run runs, the goroutines that write them. Its exported fields are its parts.
type Store struct {
	Accounts *accounts.Accounts
	Alarms   *alarms.List
	Audit    *audit.Trail
	Commands *commands.Book
	Devices  *devices.Registry
	Outages  *outages.Log
	Settings *settings.Settings

	// static
	log          *slog.Logger
	clock        *wallclock.Clock
	now          func() time.Time // of clock
	space        func(dir string) diskSpace
	opts         Options
	segmentBytes int64 // of entries; then the next batch begins a segment
	db           *hubdb.DB
	journal      *journal.Journal
	history      atomic.Pointer[history.History] // replaced when its file turns out damaged

	recount      func(id string) bool // whose accounts the replay makes again; nil: nobody's
	told         *wallclock.View      // the clock that the watchers have been told of
	books        *wallclock.View      // the clock that boots and incidents in accounts are by; moved under mu
	booksMachine uint64               // the boot of the machine that books is of; guarded by mu
	ages         atomic.Pointer[ages] // what times of receipt mean; nil: not known yet

	clockWatchers notify.List[struct{}]

	tail   historyTail
	Export *export.Export

	trimming sync.Mutex
	dropped  time.Time // when entries were dropped that not everything had read; guarded by trimming

	Tails     *tail.Log // of the journal, for whoever follows it
	sources   tail.Sources
	schemas   tail.Schemas
	latencies latencies
	numbering numbering
	pace      pace
	heldBack  heldBack

	historyRead func() (next uint64, working bool) // how far the history has read the journal, and whether it goes on

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
	room        chan struct{} // closed, and replaced, when a batch is taken away
	failing     failure       // why the journal can't be written, if it can't
	accounts    map[string]*account
	forgotten   []string // removed devices whose books hub.db still has
	shelf       shelf
	cursor      uint64 // position up to which hub.db has the books
	segmentUsed int64  // bytes of entries in the segment being filled
	closed      bool
}

// Open opens or creates the store in o.Dir and recovers it: damaged files are set aside with an alarm, the books are
// rebuilt by replaying the journal behind their last checkpoint. It returns ErrLocked if another process has the store.
func Open(o Options) (*Store, error) {
	if o.CommitWindow == 0 {
		o.CommitWindow = defaultCommitWindow
	}
	o.CommitWindow = min(max(o.CommitWindow, minCommitWindow), maxCommitWindow)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.Clock != nil:
	case o.Now != nil:
		o.Clock = wallclock.Steady(o.Now)
	default:
		o.Clock = wallclock.System()
	}
	s := &Store{
		Alarms: alarms.New(o.Clock, o.Logger),
		log:    o.Logger, clock: o.Clock, now: o.Clock.Now, books: o.Clock.View(), told: o.Clock.View(), space: spaceOf, opts: o,
		work: make(chan struct{}, 1), full: make(chan struct{}, 1), trimNow: make(chan struct{}, 1),
		checkpointNow: make(chan chan error), checkpoints: make(chan *checkpoint),
		idle: make(chan struct{}, 1), stopped: make(chan struct{}),
		room: make(chan struct{}), accounts: map[string]*account{},
	}
	s.idle <- struct{}{}
	s.numbering = numbering{alarms: s.Alarms, problems: map[string]string{}}
	s.tail = historyTail{store: s, moved: make(chan struct{})}
	s.historyRead = s.tail.progress
	exporting, err := export.New(o.Influx, s.exportDeps())
	if err != nil {
		return nil, err
	}
	s.Export = exporting
	if err := s.open(); err != nil {
		_ = s.closeFiles()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	if s.opts.Dir == "" {
		return errors.New("no data directory given")
	}
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	space := s.space(s.opts.Dir)
	s.opts.defaultLimits(space)
	s.segmentBytes = segmentBytesFor(s.opts.JournalMaxBytes, space)
	db, setAside, err := hubdb.Open(s.opts.Dir, s.now())
	if err != nil {
		return err
	}
	s.db = db
	if setAside != "" {
		s.Alarms.Set("hub.db damaged", fmt.Sprintf("hub.db was damaged; it is kept as %s and a new one was begun", setAside))
	}
	s.Accounts = accounts.New(s.opts.Dir, db, s.clock, s.Alarms, s.log)
	s.Devices = devices.New(s.opts.Dir, db, s.clock, s.Alarms)
	s.Audit = audit.New(db, s.clock, s.Alarms)
	if err := s.loadDatabase(); err != nil {
		return fmt.Errorf("read hub.db: %w", err)
	}
	if err := s.openHistory(); err != nil {
		return err
	}
	j, report, err := journal.Open(journal.Options{
		Dir: filepath.Join(s.opts.Dir, "journal"),
		// The committer begins segments, because it has to define the sources in each: the journal must not on its own.
		SegmentBytes: 4 * journal.DefaultSegmentBytes,
		Next:         max(s.cursor, s.history.Load().Cursor()),
	})
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	s.journal = j
	s.Tails = tail.NewLog(j, &s.sources)
	if err := s.recover(report); err != nil {
		return err
	}
	s.checkClock()
	s.moveTimes()
	s.Export.Begin(s.journal, s.Tails, s.opts.JournalMaxBytes, s.opts.JournalMaxAge)
	return nil
}

// loadDatabase reads hub.db. What it can't read there is taken out, and restored as far as there are copies.
func (s *Store) loadDatabase() error {
	if err := s.Devices.Load(); err != nil {
		return err
	}
	if err := s.Accounts.Load(); err != nil {
		return err
	}
	var err error
	s.Commands, err = commands.Open(commands.Deps{DB: s.db, Clock: s.clock, Alarms: s.Alarms, Device: s.commanded})
	if err != nil {
		return err
	}
	if s.Settings, err = settings.Open(s.db, s.clock, s.Commands); err != nil {
		return err
	}
	if err := s.Audit.Load(); err != nil {
		return err
	}
	if err := s.loadCheckpoint(); err != nil {
		return err
	}
	if s.Outages, err = outages.Open(s.db, s.clock, s.Alarms, s.log); err != nil {
		return err
	}
	if err := s.db.View(s.checkRest); err != nil {
		return err
	}
	if text := s.db.RemoveDamaged(s.log, s.now()); text != "" {
		s.Alarms.Set("hub.db records", text)
	}
	if s.db.Reverted() {
		s.Alarms.Set("hub.db reverted", "hub.db was damaged where it says what is valid, and may lack its last change: devices, users and "+
			"API keys are taken from their copies, the counters from the journal; a command, a setting or an entry of the audit trail may be gone")
	}
	s.Devices.Restore(s.Commands.Announced())
	s.Accounts.Restore()
	return nil
}

// checkRest reads the records of hub.db that nothing is made of at start.
func (s *Store) checkRest(tx *bbolt.Tx) error {
	return errors.Join(
		s.db.Each(tx, hubdb.BucketSchemas, func(k, v []byte) error {
			src, err := tail.NewSource(0, "", 0, v)
			if err == nil && !bytes.Equal(k, src.Hash[:]) {
				err = hubdb.ErrRecord
			}
			return err
		}),
		s.db.Each(tx, hubdb.BucketDeadLetters, func(k, v []byte) error {
			var letter DeadLetter
			return letter.decode(k, v)
		}),
	)
}

func (s *Store) openHistory() error {
	h, setAside, err := history.Open(history.Options{
		Path: filepath.Join(s.opts.Dir, "history.db"), MaxBytes: s.opts.HistoryMaxBytes, MaxAge: s.opts.HistoryMaxAge,
		Logger: s.log, Now: s.now, Received: s.receivedAt,
	})
	if err != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	s.history.Store(h)
	if setAside != "" {
		s.Alarms.Set("history.db damaged", fmt.Sprintf(
			"history.db was damaged; it is kept as %s, and a new one is filled as far as the journal reaches", setAside))
	}
	return nil
}

// Run commits, feeds the tails and enforces the limits until ctx ends. When it returns, all its goroutines have ended, and
// everything that was handed in before is committed, or Run returns the error why it could not be. It ends by itself, with an
// error, when hub.db turns out damaged: then the next Open replaces it.
func (s *Store) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The tails outlive the committer, so that its last commit and checkpoint find them running.
	tails, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var g errgroup.Group
	g.Go(func() error { defer stop(); return s.commitLoop(ctx) })
	g.Go(func() error { return s.keepBooks(end) })
	g.Go(func() error { s.tail.run(tails); return nil })
	g.Go(func() error { s.Export.Run(ctx); return nil }) // what it does not get done is still in the journal at the next start
	g.Go(func() error { s.retain(tails); return nil })
	g.Go(func() error { s.watch(tails); return nil })
	g.Go(func() error { s.Commands.Run(tails); return nil })
	g.Go(func() error { s.watchClock(tails); return nil })
	return g.Wait()
}

// Close closes the files. Run must have returned, or never been called.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	if h := s.history.Load(); h != nil {
		errs = append(errs, h.Close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Dir is the data directory.
func (s *Store) Dir() string { return s.opts.Dir }

// MaxBytes are the limits of the journal and the history in bytes.
func (s *Store) MaxBytes() (journal, history int64) {
	return s.opts.JournalMaxBytes, s.opts.HistoryMaxBytes
}

// Progress moves on every turn of the committer, at least once a second while it works: it feeds the watchdog.
func (s *Store) Progress() uint64 { return s.progress.Load() }
