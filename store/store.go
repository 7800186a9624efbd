// Package store is everything the hub keeps: one journal of committed frames, and the tails that read it. Each part is a package
// below, and a field of [Store]; this package holds only what concerns several parts.
//
//	device session ─▶ Ledger ─▶ journal, one fdatasync ─▶ acknowledgement
//	                              │ committed entries, in order: Tails
//	                 ┌────────────┼─────────────┬─────────────────┐
//	                 ▼            ▼             ▼                 ▼
//	              history      Export      the hub's live    whoever else
//	            (history.db)  (InfluxDB)       feed          follows them
//
//	hub.db: Devices, Accounts, Commands, Settings, Audit, Outages, and with every checkpoint the books of the Ledger
//
// A frame's way: a device session hands it to the ledger (see [ledger.Ingest]), which drops duplicates and appends the rest to the
// batch being filled. One committer writes the batch to the journal with a single fdatasync, at most once per commit window, and
// only then has the sessions acknowledge it. Everything else that has to do with frames is a tail that reads the journal behind the
// committer ([tail.Log]), at its own pace.
package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/export"
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
	// frames
	Ledger  *ledger.Ledger // takes them in, writes the journal, keeps the books
	Tails   *tail.Log      // what was committed, for whoever follows it
	history *feed.Feed     // the tail that fills history.db; see Readings, Decimated
	Export  *export.Export // the tail to InfluxDB

	// in hub.db
	Devices  *devices.Registry  // who may connect, and what they have announced
	Accounts *accounts.Accounts // users, API keys, sessions
	Commands *commands.Book     // what devices are to do, and what came of it
	Settings *settings.Settings // values that devices are to have
	Audit    *audit.Trail       // who did what
	Outages  *outages.Log       // when the hub and each device was away, and what of the journal is missing

	Alarms *alarms.List // what an operator has to know now

	// static
	opts     Options
	log      *slog.Logger
	clock    *wallclock.Clock
	now      func() time.Time // of clock
	space    func(dir string) ledger.Space
	db       *hubdb.DB
	journal  *journal.Journal
	followed *wallclock.View // the clock that those who watch it have been shown

	sources       tail.Sources
	schemas       tail.Schemas
	clockWatchers notify.List[struct{}]
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
