package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

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
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

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
