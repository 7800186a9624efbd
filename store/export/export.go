// Package export sends the frames of the journal to InfluxDB.
//
// Two lanes share the work. The live lane sends what has just been committed. When it finds itself behind, after an outage
// or a restart, it leaps to the end of the journal and leaves what it passes over to the backlog lane, which drains it from
// the oldest on, as fast as the server takes it. So the newest readings arrive at once, however long the outage was.
//
// What is still to be exported is a set of journal positions. Checkpoints write it to hub.db; after a crash, what was
// exported since the last one goes out again, and overwrites itself.
package export

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Name is what the export is called among the tails of the journal.
const Name = "influxdb"

// Options says where frames are exported to.
type Options struct {
	influx.Config
	BatchLines    int           // in a request at most, give or take a frame; 5,000
	BatchBytes    int           // likewise; 1 MiB
	FlushInterval time.Duration // between two requests with new data at most; 1 s
}

const (
	defaultBatchLines    = 5000
	defaultBatchBytes    = 1 << 20
	defaultFlushInterval = time.Second

	retryRead = 2 * time.Second // after the journal could not be read
)

// Deps is what the export works with once the store has been opened. The functions may be called from several goroutines.
type Deps struct {
	Journal  *journal.Journal
	Tails    *tail.Log // of Journal
	Devices  *devices.Registry
	Outages  *outages.Log
	MaxBytes int64         // of the journal
	MaxAge   time.Duration // of an entry in it; 0: no limit

	Received func(position uint64, at time.Time) time.Time   // when that was received, by the clock as it is now
	Refused  func(ctx context.Context, lines []Refused) bool // keeps what the server refused; false: ctx ended before it was kept
}

// Export reads the journal behind the committer and sends its frames to InfluxDB.
type Export struct {
	// static
	log     *slog.Logger
	clock   *wallclock.Clock
	writer  *influx.Writer // nil: nothing is exported, what waits goes on waiting
	options Options
	gate    gate
	backlog chan struct{} // capacity 1: there is more in the backlog

	db   *hubdb.DB // static from Load on
	deps Deps      // static from Begin on

	mu       sync.Mutex
	pending  positions // not yet exported, sent or not
	inFlight positions // in batches that are on their way
	live     uint64    // where the live lane goes on; what is pending before is the backlog
	saved    uint64    // the lowest position that hub.db says is pending
	counts   Counts
	refusal  lastRefusal
	rates    rates
}

// Counts are what became of frames and their readings. After a crash, what is exported again is counted again.
type Counts struct {
	Lines      uint64 `json:"lines"`         // written
	Refused    uint64 `json:"refused_lines"` // kept as dead letters
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

// New returns an export to where o says; nil: nothing is exported, and what still waits goes on waiting (see Forget).
func New(o *Options, clock *wallclock.Clock, alarms *alarms.List, log *slog.Logger) (*Export, error) {
	e := &Export{log: log, clock: clock, backlog: make(chan struct{}, 1), saved: endless}
	e.gate = gate{
		alarm: func(text string) { alarms.Set(Name, text) }, changed: make(chan struct{}),
		retryMin: retryMin, retryTry: retryTry, retryMax: retryMax, retryDenied: retryDenied,
	}
	if o == nil {
		return e, nil
	}
	e.options = *o
	e.options.BatchLines = cmp.Or(o.BatchLines, defaultBatchLines)
	e.options.BatchBytes = cmp.Or(o.BatchBytes, defaultBatchBytes)
	e.options.FlushInterval = cmp.Or(o.FlushInterval, defaultFlushInterval)
	w, err := influx.NewWriter(o.Config)
	if err != nil {
		return nil, err
	}
	e.writer = w
	return e, nil
}

// Begin makes the export ready to run, after Load.
func (e *Export) Begin(deps Deps) {
	e.deps = deps
	j := deps.Journal
	if e.writer == nil {
		return
	}
	if e.pending == nil { // the first time: everything that is there
		e.pending = positions{{j.First(), endless}}
		e.saved = e.pending.first()
	}
	e.live = j.Next()
	e.Drop(j.First())
}

// Run exports until ctx ends.
func (e *Export) Run(ctx context.Context) {
	if e.writer == nil {
		return
	}
	defer e.writer.Close()
	var g errgroup.Group
	g.Go(func() error { e.sample(ctx); return nil })
	g.Go(func() error { e.runLive(ctx); return nil })
	g.Go(func() error { e.runBacklog(ctx); return nil })
	_ = g.Wait() // they return nothing
}

// sample looks at the rates until ctx ends.
func (e *Export) sample(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		e.Sample()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Writer writes lines to InfluxDB; nil: nothing is exported.
func (e *Export) Writer() *influx.Writer { return e.writer }
