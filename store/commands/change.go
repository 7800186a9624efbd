package commands

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// commandChange is one transaction of the command book while it comes into being.
type commandChange struct {
	book *commandBook
	now  time.Time

	commands  map[uint64]*Command // to be written
	events    []Command           // transitions, in order
	set       map[string]bool     // devices whose settings are to be written
	settings  []Setting           // that changed, in order
	audit     []audit.Entry
	announced map[string]device.Hash // of devices; zero: none any more
	moved     *int64                 // base of the clock that times are by from now on; nil: as before

	// before, for undo
	devices map[string]*deviceCommands // nil: there was nothing
	open    int
	next    uint64

	// what write finds out, for publish
	kept    heldCommands
	dropped []Command
}

func newCommandChange(b *commandBook) *commandChange {
	return &commandChange{
		book: b, now: b.clock.Now(), commands: map[uint64]*Command{}, set: map[string]bool{}, announced: map[string]device.Hash{}, devices: map[string]*deviceCommands{},
		open: b.open, next: b.next,
	}
}

func (ch *commandChange) empty() bool {
	return len(ch.commands) == 0 && len(ch.set) == 0 && len(ch.audit) == 0 && len(ch.announced) == 0 && ch.moved == nil
}

// touch returns what is known of a device, to be changed.
func (ch *commandChange) touch(id string) *deviceCommands {
	b := ch.book
	if _, saved := ch.devices[id]; !saved {
		ch.devices[id] = nil
		if d := b.devices[id]; d != nil {
			ch.devices[id] = d.clone()
		}
	}
	return b.of(id)
}

func (ch *commandChange) undo() {
	for id, d := range ch.devices {
		if d == nil {
			delete(ch.book.devices, id)
		} else {
			ch.book.devices[id] = d
		}
	}
	ch.book.open, ch.book.next = ch.open, ch.next
}

// accept enters a new command, or returns the one that is known by its id.
func (ch *commandChange) accept(c *Command, spec *device.CommandSpec) (*Command, error) {
	known, err := ch.find(c.ID)
	switch {
	case err == nil && known.same(c):
		return known, nil
	case err == nil:
		return nil, &CommandError{ErrCommandConflict, fmt.Sprintf("the id %v names another command", c.ID), "every command needs an id of its own"}
	}
	d := ch.touch(c.Device)
	var superseded []*Command
	for _, old := range d.queued {
		if spec.Supersedes && old.Name == c.Name && sameTarget(old, c) {
			superseded = append(superseded, old)
		}
	}
	if waiting := len(d.queued) + len(d.sent) - len(superseded); waiting >= maxDeviceCommands {
		return nil, &CommandError{ErrCommandsFull, fmt.Sprintf("%d commands wait for %s", waiting, c.Device), "cancel some, or try again later"}
	}
	if waiting := ch.book.open - len(superseded); waiting >= maxOpenCommands {
		return nil, &CommandError{ErrCommandsFull, fmt.Sprintf("%d commands wait for their devices", waiting), "cancel some, or try again later"}
	}
	for _, old := range superseded {
		ch.apply(old, eventCancel, who{c.By, c.From}, func(o *Command) { o.Text = fmt.Sprintf("superseded by %v", c.ID) })
	}
	accepted := *c
	accepted.Number, accepted.State, accepted.Changed = ch.book.next, CommandQueued, ch.now.UTC()
	accepted.Created, accepted.Deadline = ch.now.UTC(), ch.now.Add(c.Deadline.Sub(c.Created)).UTC() // the clock may have been set meanwhile
	ch.book.next++
	ch.book.open++
	d.place(&accepted)
	ch.note(&accepted, who{c.By, c.From})
	return &accepted, nil
}

// sameTarget tells settings apart: setting one channel does not supersede setting another.
func sameTarget(a, b *Command) bool {
	if a.Name != device.CommandSet {
		return true
	}
	for channel := range a.Args {
		if _, ok := b.Args[channel]; ok {
			return true
		}
	}
	return false
}

// apply lets an event happen to a command, and returns what it is then; false if the event changes nothing. edit may be nil.
func (ch *commandChange) apply(c *Command, event commandEvent, by who, edit func(*Command)) (*Command, bool) {
	to, ok := c.State.after(event)
	if !ok {
		return c, false
	}
	next := *c
	next.State, next.Changed = to, ch.now.UTC()
	if edit != nil {
		edit(&next)
	}
	if c.State.Open() && !to.Open() {
		ch.book.open--
	}
	ch.touch(c.Device).place(&next)
	ch.note(&next, by)
	if next.Name == device.CommandSet {
		ch.setEnded(&next)
	}
	return &next, true
}

// note has the command written, told and entered in the audit trail.
func (ch *commandChange) note(c *Command, by who) {
	ch.commands[c.Number] = c
	ch.events = append(ch.events, *c)
	text := c.Name + argsText(c.Args)
	if c.Text != "" {
		text += ": " + c.Text
	}
	ch.audit = append(ch.audit, audit.Entry{By: by.by, From: by.from, Action: "command " + string(c.State), Device: c.Device, Command: c.ID, Text: text})
}

// find returns a command as it is by now.
func (ch *commandChange) find(id device.CommandID) (*Command, error) {
	for _, c := range ch.commands {
		if c.ID == id {
			return c, nil
		}
	}
	number, ok := ch.book.number(id)
	if !ok {
		return nil, noCommand(id)
	}
	c := &Command{}
	err := ch.book.store.db.View(func(tx *bbolt.Tx) error {
		value := hubdb.Get(tx.Bucket(hubdb.BucketCommands), hubdb.Key8(number))
		if value == nil {
			return noCommand(id)
		}
		return c.decode(number, value)
	})
	return c, err
}

// write is the transaction.
func (ch *commandChange) write(tx *bbolt.Tx) error {
	b := tx.Bucket(hubdb.BucketCommands)
	ch.kept = ch.book.kept
	for number, c := range ch.commands {
		key, value := hubdb.Key8(number), c.encode()
		if old := hubdb.Get(b, key); old != nil {
			ch.kept.bytes -= int64(len(old))
		} else {
			ch.kept.count++
		}
		ch.kept.bytes += int64(len(value))
		if err := hubdb.Put(b, key, value); err != nil {
			return err
		}
	}
	if err := ch.pruneCommands(b); err != nil {
		return err
	}
	for id := range ch.set {
		if err := saveSettings(tx, id, ch.book.devices[id]); err != nil {
			return err
		}
	}
	if err := ch.writeAnnounced(tx); err != nil {
		return err
	}
	if ch.moved != nil {
		if err := hubdb.PutClock(tx, hubdb.KeyCommandsClock, ch.book.store.clock, *ch.moved); err != nil {
			return err
		}
	}
	return audit.Append(tx, ch.now, ch.audit...)
}

// pruneCommands drops the oldest settled commands above the bounds.
func (ch *commandChange) pruneCommands(b *bbolt.Bucket) error {
	settled := ch.kept.count - ch.book.open
	if settled < maxCommands+pruneStep && ch.kept.bytes < maxCommandBytes {
		return nil
	}
	bytes, most := ch.kept.bytes, int64(maxCommandBytes)
	if bytes > most {
		most /= 2
	}
	ch.dropped = nil
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		number, _ := hubdb.ParseKey8(k)
		value, ok := hubdb.Unseal(k, v)
		var old Command
		if !ok || old.decode(number, value) != nil {
			continue // the next start takes it out
		}
		if settled <= maxCommands && bytes <= most {
			break
		}
		if old.State.Open() {
			continue
		}
		ch.dropped = append(ch.dropped, old)
		settled--
		bytes -= int64(len(value))
	}
	for i := range ch.dropped {
		if err := b.Delete(hubdb.Key8(ch.dropped[i].Number)); err != nil {
			return err
		}
	}
	ch.kept = heldCommands{ch.kept.count - len(ch.dropped), bytes}
	return nil
}

// publish makes known what is on disk now.
func (ch *commandChange) publish() {
	b := ch.book
	b.kept = ch.kept
	if ch.moved != nil {
		b.moveNewest(b.clock.Follow(*ch.moved))
		b.clockRecorded.Store(true)
	}
	ch.publishAnnounced()
	b.index.Lock()
	for i := range ch.events {
		c := &ch.events[i]
		if _, known := b.index.numbers[c.ID]; !known {
			b.index.numbers[c.ID] = c.Number
			b.index.lists[c.Device] = append(b.index.lists[c.Device], c.Number)
		}
	}
	for i := range ch.dropped {
		c := &ch.dropped[i]
		delete(b.index.numbers, c.ID)
		list := slices.DeleteFunc(b.index.lists[c.Device], func(n uint64) bool { return n == c.Number })
		if b.index.lists[c.Device] = list; len(list) == 0 {
			delete(b.index.lists, c.Device)
		}
		if d := b.devices[c.Device]; d != nil { // the device is not asked about it any more
			d.lost = slices.DeleteFunc(d.lost, func(o *Command) bool { return o.Number == c.Number })
		}
	}
	b.index.Unlock()
	for i := range ch.events {
		b.watchers.tell(ch.events[i])
	}
	for i := range ch.settings {
		b.settings.tell(ch.settings[i])
	}
	if len(ch.events) > 0 {
		signal(b.due)
	}
}

// byTurn sorts commands as they were first sent.
func byTurn(a, b *Command) int {
	switch {
	case a.turn < b.turn:
		return -1
	case a.turn > b.turn:
		return 1
	}
	return 0
}

// argsText is the arguments of a command as text: (celsius=22, ramp=2.5).
func argsText(args map[string]any) string {
	if len(args) == 0 {
		return ""
	}
	list := make([]string, 0, len(args))
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if text, ok := args[name].(string); ok {
			list = append(list, fmt.Sprintf("%s=%q", name, text))
		} else {
			list = append(list, fmt.Sprintf("%s=%v", name, args[name]))
		}
	}
	return " (" + strings.Join(list, ", ") + ")"
}
