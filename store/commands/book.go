// Package commands keeps the commands to devices: what state each is in, which of them a connection of a device is to be given, and
// what has come of them.
package commands

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Deps is what a book is given.
type Deps struct {
	DB     *hubdb.DB
	Clock  *wallclock.Clock
	Alarms *alarms.List
	Device func(id string) (Device, error) // an error for one that is not registered
}

// Device is what has to be known of a device.
type Device struct {
	Revoked bool
	Schema  *device.Schema // announced last; nil: none yet
	Hash    device.Hash    // of Schema
	Message []byte         // the whole SCHEMA message of it
}

// Book holds the commands. hub.db has them all; in memory are only those that may still change and where to find the others.
//
// Every change is a function that Do runs, one at a time. Those that come while a transaction is being written share the next one,
// so the number of fdatasyncs depends on the disk and not on how much happens. Nothing that Do has been given takes effect outside,
// nor do watchers see it, before it is on disk; if that fails, the state in memory is put back.
type Book struct {
	// static
	Deps
	times    *wallclock.View // what times in commands and settings are by; moved with them
	watchers notify.List[Command]
	due      chan struct{} // capacity 1: something may have a nearer deadline now
	extend   Extension

	joining sync.Mutex
	batch   *batch // to be written next

	writing       sync.Mutex // guards the rest; held while a batch is applied and written
	devices       map[string]*queues
	clockRecorded atomic.Bool // hub.db knows what times are by
	open          int
	next          uint64 // number of the next command
	kept          stored // all commands in hub.db

	announced map[string]device.Hash // schema that each device announced last

	index struct {
		sync.RWMutex
		numbers map[device.CommandID]uint64
		lists   map[string][]uint64 // of each device, ascending
	}
}

// stored is how much hub.db holds of commands.
type stored struct {
	count int
	bytes int64
}

// Extension is what changes together with commands, in the same transactions: the desired values of package settings, which go to
// their devices as commands. Its functions are called one at a time, within changes, but for Write and Done.
type Extension struct {
	// Deliver enters further commands before those of a device are handed to a connection, and says when to call it again; zero:
	// when something happens. first is the first time on this connection.
	Deliver func(ch *Change, deviceID string, schema *device.Schema, first bool) (again time.Time)
	Changed func(ch *Change, c *Command)        // a command that sets a channel has changed its state
	Moved   func(ch *Change, by time.Duration)  // the clock was set
	Removed func(ch *Change, deviceID string)   // a device is removed
	Write   func(tx *bbolt.Tx) error            // records what has changed
	Done    func(onDisk bool, by time.Duration) // the change is on disk, the clock moved with it; or it is to be undone
}

// batch is several changes that are written in one transaction.
type batch struct {
	changes []func(*Change) error
	errs    []error
	done    chan struct{} // closed when errs holds what became of each
}

// Open reads the commands of hub.db.
func Open(d Deps) (*Book, error) {
	b := &Book{
		Deps: d, times: d.Clock.View(), due: make(chan struct{}, 1), devices: map[string]*queues{}, next: 1,
		announced: map[string]device.Hash{},
	}
	b.index.numbers, b.index.lists = map[device.CommandID]uint64{}, map[string][]uint64{}
	return b, d.DB.View(b.load)
}

// load reads what may still change, and where the rest is.
func (b *Book) load(tx *bbolt.Tx) error {
	err := b.DB.Each(tx, hubdb.BucketCommands, func(k, v []byte) error {
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
	for id, q := range b.devices { // read by number, and commands that are repeated go out by turn
		slices.SortFunc(q.sent, byTurn)
		slices.SortFunc(q.lost, byTurn)
		if q.empty() && q.turn == 0 {
			delete(b.devices, id)
		}
	}
	b.clockRecorded.Store(b.DB.LoadClock(tx, hubdb.KeyCommandsClock, b.Clock, b.times))
	return b.loadAnnounced(tx)
}

// Extend adds what changes together with commands. It is called before anything happens.
func (b *Book) Extend(e Extension) { b.extend = e }

// Do runs a change and returns when it is on disk, or its error. It needs no goroutine: whoever comes first writes for all who come
// while it waits.
func (b *Book) Do(change func(*Change) error) error {
	b.joining.Lock()
	joined := b.batch
	first := joined == nil
	if first {
		joined = &batch{done: make(chan struct{})}
		b.batch = joined
	}
	mine := len(joined.changes)
	joined.changes = append(joined.changes, change)
	b.joining.Unlock()
	if !first {
		<-joined.done
		return joined.errs[mine]
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.joining.Lock()
	b.batch = nil
	b.joining.Unlock()
	b.write(joined)
	close(joined.done)
	return joined.errs[mine]
}

// write applies a batch, makes it durable and calls the watchers.
func (b *Book) write(changes *batch) {
	ch := newChange(b)
	changes.errs = make([]error, len(changes.changes))
	for i, change := range changes.changes {
		changes.errs[i] = change(ch)
	}
	if ch.empty() {
		b.done(true, 0)
		return
	}
	if err := b.DB.Update(ch.write); err != nil {
		ch.undo()
		b.done(false, 0)
		err = fmt.Errorf("write hub.db: %w", err)
		b.Alarms.Set("commands", "commands and what is done through the hub can't be recorded: "+err.Error())
		for i := range changes.errs {
			if changes.errs[i] == nil {
				changes.errs[i] = err
			}
		}
		return
	}
	b.Alarms.Clear("commands")
	ch.publish()
}

func (b *Book) done(onDisk bool, by time.Duration) {
	if b.extend.Done != nil {
		b.extend.Done(onDisk, by)
	}
}

// Watch calls f after every transition of a command, and when its times have moved with a clock that was set, when it is on disk,
// in order. f must be quick and must not change commands or settings. stop ends it, and may be called more than once.
func (b *Book) Watch(f func(Command)) (stop func()) { return b.watchers.Add(f) }
