package commands

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// commandBook holds the commands and the desired values, which hub.db has and which change together, with the audit trail. In memory
// are only the commands that may still change and where to find the others.
//
// Every change is a function that do runs, one at a time. Those that come while a transaction is being written share the next one,
// so the number of fdatasyncs depends on the disk and not on how much happens. Nothing that do has been given takes effect outside,
// nor is anybody told of it, before it is on disk; if that fails, the state in memory is put back.
type commandBook struct {
	// static
	store    *Store
	clock    *wallclock.View // what times in commands and settings are by; moved with them
	watchers watchers[Command]
	settings watchers[Setting]
	due      chan struct{} // capacity 1: something may have a nearer deadline now

	joining sync.Mutex
	batch   *commandBatch // to be written next

	writing       sync.Mutex // guards the rest; held while a batch is applied and written
	devices       map[string]*deviceCommands
	clockRecorded atomic.Bool                    // hub.db knows what times are by
	newest        map[string]map[string]Reported // of each device, by channel, since the start; see Report
	open          int
	next          uint64       // number of the next command
	kept          heldCommands // of all commands in hub.db

	announced map[string]device.Hash // schema that each device announced last

	index struct {
		sync.RWMutex
		numbers map[device.CommandID]uint64
		lists   map[string][]uint64 // of each device, ascending
	}
}

// heldCommands is how much hub.db holds of commands.
type heldCommands struct {
	count int
	bytes int64
}

// deviceCommands are the commands of one device that may still change, and what it is to be set to. The values are never changed,
// only replaced, so that a copy of the lists is a copy of the state.
type deviceCommands struct {
	queued   []*Command
	sent     []*Command // in the order in which they were first sent
	lost     []*Command // unknown ones that the device may still be asked about
	turn     uint64     // of the last one sent
	settings map[string]*Setting
}

func (d *deviceCommands) clone() *deviceCommands {
	return &deviceCommands{
		queued: slices.Clone(d.queued), sent: slices.Clone(d.sent), lost: slices.Clone(d.lost), turn: d.turn, settings: maps.Clone(d.settings),
	}
}

func (d *deviceCommands) empty() bool {
	return len(d.queued)+len(d.sent)+len(d.lost)+len(d.settings) == 0
}

// place puts a command into the list of its state, in place of what it was before.
func (d *deviceCommands) place(c *Command) {
	other := func(o *Command) bool { return o.Number == c.Number }
	d.queued = slices.DeleteFunc(d.queued, other)
	d.sent = slices.DeleteFunc(d.sent, other)
	d.lost = slices.DeleteFunc(d.lost, other)
	d.turn = max(d.turn, c.turn)
	switch c.State {
	case CommandQueued:
		d.queued = append(d.queued, c)
	case CommandSent:
		d.sent = append(d.sent, c)
	case CommandUnknown:
		d.lost = append(d.lost, c)
	}
	d.lost = slices.DeleteFunc(d.lost, func(o *Command) bool { return !d.recent(o) })
}

// recent says whether the device still has to remember the command if it has begun it; see Delivery.
func (d *deviceCommands) recent(c *Command) bool { return c.turn+commandWindow > d.turn }

// commandBatch is several changes that are written in one transaction.
type commandBatch struct {
	changes []func(*commandChange) error
	errs    []error
	done    chan struct{} // closed when errs holds what became of each
}

// do runs a change and returns when it is on disk, or its error. It needs no goroutine of the store: whoever comes first writes for
// all who come while it waits.
func (b *commandBook) do(change func(*commandChange) error) error {
	b.joining.Lock()
	batch := b.batch
	first := batch == nil
	if first {
		batch = &commandBatch{done: make(chan struct{})}
		b.batch = batch
	}
	mine := len(batch.changes)
	batch.changes = append(batch.changes, change)
	b.joining.Unlock()
	if !first {
		<-batch.done
		return batch.errs[mine]
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.joining.Lock()
	b.batch = nil
	b.joining.Unlock()
	b.write(batch)
	close(batch.done)
	return batch.errs[mine]
}

// write applies a batch, makes it durable and tells of it.
func (b *commandBook) write(batch *commandBatch) {
	ch := newCommandChange(b)
	batch.errs = make([]error, len(batch.changes))
	for i, change := range batch.changes {
		batch.errs[i] = change(ch)
	}
	if ch.empty() {
		return
	}
	if err := b.store.db.Update(ch.write); err != nil {
		ch.undo()
		err = fmt.Errorf("write hub.db: %w", err)
		b.store.Alarms.Set("commands", "commands and what is done through the hub can't be recorded: "+err.Error())
		for i := range batch.errs {
			if batch.errs[i] == nil {
				batch.errs[i] = err
			}
		}
		return
	}
	b.store.Alarms.Clear("commands")
	ch.publish()
}

// load reads what may still change, and where the rest is.
func (b *commandBook) load(s *Store) error {
	b.store, b.clock, b.due = s, s.clock.View(), make(chan struct{}, 1)
	b.devices, b.newest, b.next = map[string]*deviceCommands{}, map[string]map[string]Reported{}, 1
	b.index.numbers, b.index.lists = map[device.CommandID]uint64{}, map[string][]uint64{}
	return s.db.View(func(tx *bbolt.Tx) error {
		err := s.db.Each(tx, hubdb.BucketCommands, func(k, v []byte) error {
			number, ok := hubdb.ParseKey8(k)
			if !ok {
				return hubdb.ErrRecord
			}
			var c Command
			if err := c.decode(number, v); err != nil {
				return err
			}
			b.next = number + 1
			b.kept.count++
			b.kept.bytes += int64(len(v))
			b.index.numbers[c.ID] = number
			b.index.lists[c.Device] = append(b.index.lists[c.Device], number)
			if c.State.Open() {
				b.open++
			}
			b.of(c.Device).place(&c)
			return nil
		})
		if err != nil {
			return err
		}
		for _, d := range b.devices { // read by number, and commands that are repeated go out by turn
			slices.SortFunc(d.sent, byTurn)
			slices.SortFunc(d.lost, byTurn)
		}
		b.clockRecorded.Store(s.db.LoadClock(tx, hubdb.KeyCommandsClock, s.clock, b.clock))
		if err := b.loadSettings(s, tx); err != nil {
			return err
		}
		if err := b.loadAnnounced(s, tx); err != nil {
			return err
		}
		for id, d := range b.devices {
			if d.empty() && d.turn == 0 {
				delete(b.devices, id)
			}
		}
		return nil
	})
}

// of returns what is known of a device, made if there is nothing.
func (b *commandBook) of(id string) *deviceCommands {
	d := b.devices[id]
	if d == nil {
		d = &deviceCommands{settings: map[string]*Setting{}}
		b.devices[id] = d
	}
	return d
}

// number returns where a command is kept.
func (b *commandBook) number(id device.CommandID) (uint64, bool) {
	b.index.RLock()
	defer b.index.RUnlock()
	n, ok := b.index.numbers[id]
	return n, ok
}

// newestFirst calls f with the commands of a device, or of all, while it wants more.
func (b *commandBook) newestFirst(tx *bbolt.Tx, filter CommandFilter, f func(number uint64, value []byte) (bool, error)) error {
	bucket := tx.Bucket(hubdb.BucketCommands)
	if filter.Device == "" {
		c := bucket.Cursor()
		for k, v := hubdb.SeekBefore(c, filter.Before); k != nil; k, v = c.Prev() {
			number, _ := hubdb.ParseKey8(k)
			value, ok := hubdb.Unseal(k, v)
			if !ok {
				continue // the next start reports it
			}
			if more, err := f(number, value); err != nil || !more {
				return err
			}
		}
		return nil
	}
	b.index.RLock()
	numbers := slices.Clone(b.index.lists[filter.Device])
	b.index.RUnlock()
	for _, number := range slices.Backward(numbers) {
		if filter.Before > 0 && number >= filter.Before {
			continue
		}
		value := hubdb.Get(bucket, hubdb.Key8(number))
		if value == nil {
			continue // dropped meanwhile
		}
		if more, err := f(number, value); err != nil || !more {
			return err
		}
	}
	return nil
}

// watchers are functions that are told of every change.
type watchers[T any] struct {
	mu   sync.Mutex
	next int
	list map[int]func(T)
}

func (w *watchers[T]) add(f func(T)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[int]func(T){}
	}
	key := w.next
	w.next++
	w.list[key] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, key)
	}
}

func (w *watchers[T]) tell(v T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.list {
		f(v)
	}
}

// who did something, and from where.
type who struct{ by, from string }

// theHub is who does what nobody asked for.
var theHub = who{by: "hub"}

// What is kept of commands that are settled.
const (
	maxCommands     = 10_000
	maxCommandBytes = 32 << 20
	pruneStep       = 64 // above the bound before the oldest go, so that not every change has to look
)
