// Package live is the present state of the hub and its devices, in memory, for those who watch.
//
// The feed learns of frames by following the journal, and of connections from the hub. It counts time in ticks: whatever
// changes is marked with the tick under way, and a viewer remembers nothing but the tick it last took. What changed since
// then is put together when the viewer takes it, once for all viewers who ask for the same. So a viewer that does not read
// costs nothing, and one that reads slowly gets fewer, newer messages.
//
// Locks are taken in this order: Viewer.mu, Feed.watching, topic.mu, Feed.mu. The last is held for one device at a time, or
// for a look at all of them that takes a millisecond for ten thousand; nothing is encoded for a window under it but one row.
package live

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Config is what a Feed is made of.
type Config struct {
	Store   *store.Store
	Logger  *slog.Logger     // nil: slog.Default
	Now     func() time.Time // wall clock; nil: that of Store, also when it is set
	Tick    time.Duration    // between two messages to a viewer, which only results of commands shorten; 0: 250 ms; at most a second
	Version string           // of the hub, as it is shown
}

const defaultTick = 250 * time.Millisecond

// Feed knows the newest state of everything and shows it to viewers. Its methods are safe for concurrent use.
type Feed struct {
	// static
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time
	view    *wallclock.View // moved under mu
	tick    time.Duration
	second  uint64 // ticks in a second
	version string
	epoch   string

	unwatchCommands func()

	cut   atomic.Uint64 // the last tick that is over
	hurry chan struct{} // capacity 1: the tick under way may end early

	// owned by beat
	regular uint64       // ticks that have ended at their time
	books   []entryBooks // scratch of look

	// guarded by mu
	mu        sync.Mutex
	started   Millis
	entries   map[string]*entry
	sorted    []*entry // by id
	registry  uint64   // version of the registry that entries are of
	counts    Counts
	attention []Trouble
	events    eventLog
	alarms    []alarms.Alarm
	rates     rates
	touched   []*entry // whose books may have changed
	looked    int64    // when look last ran, µs since 1970
	watchAll  int      // topics that watch every device in detail
	points    int      // kept for topics, in all
	removedIn uint64   // tick in which a device was last removed
	commands  map[commandKey]*commandTopic

	// guarded by watching
	watching sync.Mutex
	topics   map[string]*topic
	viewers  map[*Viewer]struct{}
}

// New returns a feed that knows the registered devices. It follows what happens while Run runs.
func New(c Config) *Feed {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	view := c.Store.Clock().View()
	if c.Now == nil {
		c.Now = view.Now
	}
	if c.Tick <= 0 {
		c.Tick = defaultTick
	}
	c.Tick = min(c.Tick, time.Second)
	var epoch [8]byte
	_, _ = rand.Read(epoch[:]) // never fails
	f := &Feed{
		store: c.Store, log: c.Logger, now: c.Now, view: view, tick: c.Tick, second: uint64(time.Second / c.Tick), version: c.Version,
		epoch: hex.EncodeToString(epoch[:]), started: Millis(c.Now().UnixMilli()),
		entries: map[string]*entry{}, topics: map[string]*topic{}, viewers: map[*Viewer]struct{}{},
		commands: map[commandKey]*commandTopic{}, hurry: make(chan struct{}, 1),
	}
	f.unwatchCommands = f.watchCommands()
	f.sync()
	f.look()
	return f
}

// Run follows the journal and the clock until ctx ends. The store's Run must be running, and Run is called once.
func (f *Feed) Run(ctx context.Context) error {
	defer f.unwatchCommands()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { f.store.Tails.Follow(ctx, f.committed); return nil })
	g.Go(func() error { f.learn(ctx); return nil })
	g.Go(func() error { f.beat(ctx); return nil })
	return g.Wait()
}

// Epoch names this run of the hub; offsets of another one mean nothing in it.
func (f *Feed) Epoch() string { return f.epoch }

// beat ends one tick after the other. What somebody waits for ends the tick under way early, but not in its first part: so
// viewers get a bounded number of messages, whatever happens.
func (f *Feed) beat(ctx context.Context) {
	ticker := time.NewTicker(f.tick)
	defer ticker.Stop()
	early := time.NewTimer(f.tick)
	defer early.Stop()
	early.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.hurry:
			early.Reset(f.tick*2/5 - time.Since(last))
			continue
		case <-ticker.C:
			early.Stop()
			f.advance()
		case <-early.C:
			f.endTick(false)
		}
		last = time.Now()
	}
}

// advance ends the tick under way at its time.
func (f *Feed) advance() {
	f.regular++
	f.endTick(f.regular%f.second == 0)
}

// endTick ends the tick under way and wakes the viewers for whom there is something.
func (f *Feed) endTick(second bool) {
	if second {
		f.sync()
		f.look()
	}
	f.mu.Lock() // nobody is in the middle of marking something
	cut := f.cut.Add(1)
	f.mu.Unlock()
	for _, t := range f.present() {
		t.advance(cut, second)
	}
	if second {
		f.dropIdle(cut)
	}
	for _, v := range f.allViewers() {
		v.wakeIfDue(cut)
	}
}

// open is the tick under way: what changes is marked with it.
func (f *Feed) open() uint64 { return f.cut.Load() + 1 }

// micros is the wall clock in µs since 1970.
func (f *Feed) micros() int64 { return f.now().UnixMicro() }

func millis(micros int64) Millis {
	if micros == noTime {
		return 0
	}
	return Millis(micros / 1000)
}
