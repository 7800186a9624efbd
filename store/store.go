// Package store is everything the hub keeps: one journal of committed frames, and the tails that read it. Each part is a package
// below, and a field of [Store].
//
// A frame's way: a device session hands it to the ledger (see [ledger.Ingest]), which drops duplicates and appends the rest to the
// batch being filled. One committer writes the batch to the journal with a single fdatasync, at most once per commit window, and
// only then tells the sessions what they may acknowledge. Everything else that has to do with frames is a tail that reads the
// journal behind the committer ([tail.Log]): the history in history.db, the export to InfluxDB, the live feed of the hub.
//
// What is neither a frame nor history is in hub.db ([hubdb.DB]): devices and their tokens, accounts, commands and settings, the
// audit trail, outages, and the books of the ledger. This package holds only what concerns several parts.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/history/feed"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Errors a caller decides on.
var (
	ErrLocked = hubdb.ErrLocked
	ErrClosed = ledger.ErrClosed
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

	segmentBytes int64 // see ledger.Options; set by tests
}

const (
	defaultCommitWindow = 50 * time.Millisecond
	minCommitWindow     = 5 * time.Millisecond
	maxCommitWindow     = time.Second
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
	Ledger   *ledger.Ledger
	Tails    *tail.Log // of the journal, for whoever follows it
	Export   *export.Export

	// static
	log      *slog.Logger
	clock    *wallclock.Clock
	now      func() time.Time // of clock
	space    func(dir string) ledger.Space
	opts     Options
	db       *hubdb.DB
	journal  *journal.Journal
	history  *feed.Feed
	followed *wallclock.View // the clock that those who watch it have been shown

	clockWatchers notify.List[struct{}]

	sources tail.Sources
	schemas tail.Schemas
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
		log:    o.Logger, clock: o.Clock, now: o.Clock.Now, followed: o.Clock.View(), space: ledger.SpaceOf, opts: o,
	}
	exporting, err := export.New(o.Influx, o.Clock, s.Alarms, o.Logger)
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
	s.opts.defaultLimits(s.space(s.opts.Dir))
	db, setAside, err := hubdb.Open(s.opts.Dir, s.now())
	if err != nil {
		return err
	}
	s.db = db
	if setAside != "" {
		s.Alarms.Set("hub.db damaged", fmt.Sprintf("hub.db was damaged; it is kept as %s and a new one was begun", setAside))
	}
	if err := s.loadDatabase(); err != nil {
		return fmt.Errorf("read hub.db: %w", err)
	}
	if s.history, err = feed.Open(s.feedOptions()); err != nil {
		return err
	}
	j, report, err := journal.Open(journal.Options{
		Dir: filepath.Join(s.opts.Dir, "journal"),
		// The committer begins segments, because it has to define the sources in each: the journal must not on its own.
		SegmentBytes: 4 * journal.DefaultSegmentBytes,
		Next:         max(s.Ledger.Cursor(), s.history.Current().Cursor()),
	})
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	s.journal = j
	s.Tails = tail.NewLog(j, &s.sources)
	set, err := s.Ledger.Recover(j, s.Tails, report)
	if err != nil {
		return err
	}
	s.db.ForgetDamaged()
	s.history.Begin(s.Tails)
	if set != 0 {
		s.clockSet(s.now(), set)
	}
	s.moveTimes()
	s.Export.Begin(export.Deps{
		Journal: j, Tails: s.Tails, Devices: s.Devices, Outages: s.Outages,
		MaxBytes: s.opts.JournalMaxBytes, MaxAge: s.opts.JournalMaxAge, Received: s.Ledger.ReceivedAt, Refused: s.keepRefused,
	})
	return nil
}

// loadDatabase reads hub.db. What it can't read there is taken out, and restored as far as there are copies.
func (s *Store) loadDatabase() error {
	var err error
	if s.Devices, err = devices.Open(s.opts.Dir, s.db, s.clock, s.Alarms); err != nil {
		return err
	}
	if s.Accounts, err = accounts.Open(s.opts.Dir, s.db, s.clock, s.Alarms, s.log); err != nil {
		return err
	}
	s.Commands, err = commands.Open(commands.Deps{DB: s.db, Clock: s.clock, Alarms: s.Alarms, Device: s.commanded})
	if err != nil {
		return err
	}
	if s.Settings, err = settings.Open(s.db, s.clock, s.Commands); err != nil {
		return err
	}
	if s.Audit, err = audit.Open(s.db, s.clock, s.Alarms); err != nil {
		return err
	}
	if s.Outages, err = outages.Open(s.db, s.clock, s.Alarms, s.log); err != nil {
		return err
	}
	if s.Ledger, err = ledger.Open(s.ledgerOptions()); err != nil {
		return err
	}
	if err := s.Export.Load(s.db); err != nil {
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

// ledgerOptions says what the ledger works with.
func (s *Store) ledgerOptions() ledger.Options {
	return ledger.Options{
		Dir: s.opts.Dir, CommitWindow: s.opts.CommitWindow,
		MaxBytes: s.opts.JournalMaxBytes, MaxAge: s.opts.JournalMaxAge, HistoryAge: s.opts.HistoryMaxAge, SegmentBytes: s.opts.segmentBytes,
		Log: s.log, Clock: s.clock, Alarms: s.Alarms, DB: s.db, Outages: s.Outages, Sources: &s.sources, Schemas: &s.schemas,
		Space:       func(dir string) ledger.Space { return s.space(dir) },
		History:     func() *history.History { return s.history.Current() },
		HistoryRead: func() (next uint64, working bool) { return s.history.Progress() },
		NoteSchema:  s.Devices.NoteSchema, SchemasInUse: s.Devices.Schemas,
		Durable:  []ledger.DurableTail{{Floor: s.Export.Floor, Reached: s.Export.Reached, Drop: s.Export.Drop}},
		Sections: []ledger.Section{s.Export.Section, s.devicesSection, s.accountsSection},
	}
}

// devicesSection is what checkpoints have of the devices: what was only in memory so far.
func (s *Store) devicesSection() (put func(*bbolt.Tx) error, done func(error)) {
	notes := s.Devices.TakeNotes()
	return notes.Put, func(err error) {
		notes.Done(err)
		s.Devices.RetryCopy()
	}
}

// accountsSection is what checkpoints have of sessions and API keys.
func (s *Store) accountsSection() (put func(*bbolt.Tx) error, done func(error)) {
	return s.Accounts.SaveUses, func(error) { s.Accounts.RetryCopy() }
}

// feedOptions says what feeds the history, and how much that keeps.
func (s *Store) feedOptions() feed.Options {
	return feed.Options{
		History: history.Options{
			Path: filepath.Join(s.opts.Dir, "history.db"), MaxBytes: s.opts.HistoryMaxBytes, MaxAge: s.opts.HistoryMaxAge,
			Logger: s.log, Now: s.now, Received: s.Ledger.ReceivedAt,
		},
		Alarms: s.Alarms, Outages: s.Outages, FirstCreated: s.firstCreated,
		Schema: func(hash device.Hash) []byte {
			_, message, _ := s.SchemaByHash(hash)
			return message
		},
	}
}

// firstCreated is when the oldest device was registered, zero if there is none.
func (s *Store) firstCreated() (first time.Time) {
	for _, d := range s.Devices.All() {
		if first.IsZero() || d.Created.Before(first) {
			first = d.Created
		}
	}
	return first
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
	g.Go(func() error { defer end(); return s.Ledger.Run(ctx, stop) })
	g.Go(func() error { s.history.Run(tails); return nil })
	g.Go(func() error { s.Export.Run(ctx); return nil }) // what it does not get done is still in the journal at the next start
	g.Go(func() error { s.watchRoom(tails); return nil })
	g.Go(func() error { s.Commands.Run(tails); return nil })
	g.Go(func() error { s.watchClock(tails); return nil })
	return g.Wait()
}

// Close closes the files. Run must have returned, or never been called.
func (s *Store) Close() error {
	s.Ledger.Close()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.history != nil {
		errs = append(errs, s.history.Close())
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
