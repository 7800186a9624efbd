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

const (
	maxOfDevice = 1_000  // open commands of one device
	maxOpen     = 20_000 // open commands of all devices
)

// Change is one transaction of the book while it comes into being. It is used within Do only.
type Change struct {
	book *Book
	now  time.Time

	commands  map[uint64]*Command // to be written
	events    []Command           // transitions, in order
	audit     []audit.Entry
	announced map[string]announcement // of devices
	moved     *int64                  // base of the clock that times are by from now on; nil: as before
	extended  bool                    // the extension has something to write

	// before, for undo
	devices map[string]*queues // nil: there was nothing
	open    int
	next    uint64

	// what write finds out, for publish
	kept    stored
	dropped []Command
}

func newChange(b *Book) *Change {
	return &Change{
		book: b, now: b.times.Now(), commands: map[uint64]*Command{}, announced: map[string]announcement{}, devices: map[string]*queues{},
		open: b.open, next: b.next,
	}
}

// Now is the time of the change.
func (ch *Change) Now() time.Time { return ch.now }

// Audit enters something in the audit trail.
func (ch *Change) Audit(e audit.Entry) { ch.audit = append(ch.audit, e) }

// Extended says that Extension.Write has something to write.
func (ch *Change) Extended() { ch.extended = true }

func (ch *Change) empty() bool {
	return len(ch.commands) == 0 && len(ch.audit) == 0 && len(ch.announced) == 0 && ch.moved == nil && !ch.extended
}

// touch returns what is known of a device, to be changed.
func (ch *Change) touch(id string) *queues {
	b := ch.book
	if _, saved := ch.devices[id]; !saved {
		ch.devices[id] = nil
		if q := b.devices[id]; q != nil {
			ch.devices[id] = q.clone()
		}
	}
	return b.of(id)
}

func (ch *Change) undo() {
	for id, q := range ch.devices {
		if q == nil {
			delete(ch.book.devices, id)
		} else {
			ch.book.devices[id] = q
		}
	}
	ch.book.open, ch.book.next = ch.open, ch.next
}

// Queued returns the commands of a device that no connection has been given yet.
func (ch *Change) Queued(deviceID string) []*Command {
	if q := ch.book.devices[deviceID]; q != nil {
		return slices.Clone(q.queued)
	}
	return nil
}

// Open returns the queued commands of a device and then those that were sent and not answered.
func (ch *Change) Open(deviceID string) []*Command {
	if q := ch.book.devices[deviceID]; q != nil {
		return slices.Concat(q.queued, q.sent)
	}
	return nil
}

// Send accepts a command that needs no checking: its fields up to Idempotent are set, but Number, State and Changed.
func (ch *Change) Send(c *Command, supersedes bool) error {
	_, err := ch.accept(c, supersedes)
	return err
}

// Cancel takes back a queued command.
func (ch *Change) Cancel(c *Command, by, from, text string) {
	ch.apply(c, eventCancel, actor{by, from}, func(c *Command) { c.Text = text })
}

// accept enters a new command, or returns the one that is known by its id.
func (ch *Change) accept(c *Command, supersedes bool) (*Command, error) {
	known, err := ch.find(c.ID)
	switch {
	case err == nil && known.same(c):
		return known, nil
	case err == nil:
		return nil, &Error{ErrConflict, fmt.Sprintf("the id %v names another command", c.ID), "every command needs an id of its own"}
	}
	q := ch.touch(c.Device)
	var superseded []*Command
	for _, old := range q.queued {
		if supersedes && old.Name == c.Name && sameTarget(old, c) {
			superseded = append(superseded, old)
		}
	}
	if waiting := len(q.queued) + len(q.sent) - len(superseded); waiting >= maxOfDevice {
		return nil, &Error{ErrFull, fmt.Sprintf("%d commands wait for %s", waiting, c.Device), "cancel some, or try again later"}
	}
	if waiting := ch.book.open - len(superseded); waiting >= maxOpen {
		return nil, &Error{ErrFull, fmt.Sprintf("%d commands wait for their devices", waiting), "cancel some, or try again later"}
	}
	for _, old := range superseded {
		ch.Cancel(old, c.By, c.From, fmt.Sprintf("superseded by %v", c.ID))
	}
	accepted := *c
	accepted.Number, accepted.State, accepted.Changed = ch.book.next, Queued, ch.now.UTC()
	accepted.Created, accepted.Deadline = ch.now.UTC(), ch.now.Add(c.Deadline.Sub(c.Created)).UTC() // the clock may have been set meanwhile
	ch.book.next++
	ch.book.open++
	q.place(&accepted)
	ch.note(&accepted, actor{c.By, c.From})
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
func (ch *Change) apply(c *Command, e event, by actor, edit func(*Command)) (*Command, bool) {
	to, ok := c.State.after(e)
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
	if next.Name == device.CommandSet && ch.book.extend.Changed != nil {
		ch.book.extend.Changed(ch, &next)
	}
	return &next, true
}

// note has the command written, watchers called, and the transition entered in the audit trail.
func (ch *Change) note(c *Command, by actor) {
	ch.commands[c.Number] = c
	ch.events = append(ch.events, *c)
	text := c.Name + argsText(c.Args)
	if c.Text != "" {
		text += ": " + c.Text
	}
	ch.Audit(audit.Entry{By: by.by, From: by.from, Action: "command " + string(c.State), Device: c.Device, Command: c.ID, Text: text})
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

// find returns a command as it is by now.
func (ch *Change) find(id device.CommandID) (*Command, error) {
	for _, c := range ch.commands {
		if c.ID == id {
			return c, nil
		}
	}
	number, ok := ch.book.number(id)
	if !ok {
		return nil, none(id)
	}
	c := &Command{}
	err := ch.book.DB.View(func(tx *bbolt.Tx) error {
		value := hubdb.Get(tx.Bucket(hubdb.BucketCommands), hubdb.Key8(number))
		if value == nil {
			return none(id)
		}
		return c.decode(number, value)
	})
	return c, err
}
