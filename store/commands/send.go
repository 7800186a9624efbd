package commands

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// actor is who did something, and from where.
type actor struct{ by, from string }

// byHub is the actor of what nobody asked for.
var byHub = actor{by: "hub"}

// Send accepts a command: when it returns, the command is on disk, and reaches its device if that connects in time. Sent again with
// the same ID and content, it is returned as it is by then. Errors are [*Error] and those of Deps.Device.
func (b *Book) Send(n New) (Command, error) {
	var accepted *Command
	err := b.Do(func(ch *Change) error { // all of it: once a device is removed, nothing is to be sent to it
		c, spec, err := b.prepare(&n)
		if err == nil {
			accepted, err = ch.accept(c, spec.Supersedes)
		}
		return err
	})
	if err != nil {
		return Command{}, err
	}
	return *accepted, nil
}

// Cancel takes back a command that is still queued. The error wraps ErrNone or ErrTooLate.
func (b *Book) Cancel(id device.CommandID, by, from string) (Command, error) {
	var cancelled *Command
	err := b.Do(func(ch *Change) error {
		c, err := ch.find(id)
		if err != nil {
			return err
		}
		var ok bool
		if cancelled, ok = ch.apply(c, eventCancel, actor{by, from}, func(c *Command) { c.Text = "cancelled by " + by }); !ok {
			return &Error{ErrTooLate, fmt.Sprintf("command %v is %s: only a queued one can be cancelled", id, c.State), ""}
		}
		return nil
	})
	if err != nil {
		return Command{}, err
	}
	return *cancelled, nil
}

// Remove gives up what still waits for a device that is removed, and what it was to be set to.
func (b *Book) Remove(deviceID string) error {
	return b.Do(func(ch *Change) error {
		ch.announced[deviceID] = announcement{}
		q := ch.touch(deviceID)
		for _, c := range append(append([]*Command(nil), q.queued...), q.sent...) {
			event := eventCancel
			if c.State == Sent {
				event = eventTimeout
			}
			ch.apply(c, event, byHub, func(c *Command) { c.Text = "the device was removed" })
		}
		if b.extend.Removed != nil {
			b.extend.Removed(ch, deviceID)
		}
		delete(b.devices, deviceID)
		return nil
	})
}

// Get returns a command. The error wraps ErrNone.
func (b *Book) Get(id device.CommandID) (c Command, err error) {
	number, ok := b.number(id)
	if !ok {
		return c, none(id)
	}
	err = b.DB.View(func(tx *bbolt.Tx) error {
		value := hubdb.Get(tx.Bucket(hubdb.BucketCommands), hubdb.Key8(number))
		if value == nil {
			return none(id)
		}
		return c.decode(number, value)
	})
	return c, err
}

// number returns where a command is kept.
func (b *Book) number(id device.CommandID) (uint64, bool) {
	b.index.RLock()
	defer b.index.RUnlock()
	n, ok := b.index.numbers[id]
	return n, ok
}

func none(id device.CommandID) error {
	return &Error{ErrNone, fmt.Sprintf("there is no command %v", id), "settled commands are kept for a while, not for ever"}
}

// Await returns the command when it is no longer open, or as it is when ctx ends, without an error.
func (b *Book) Await(ctx context.Context, id device.CommandID) (Command, error) {
	moved := make(chan struct{}, 1)
	defer b.Watch(func(c Command) {
		if c.ID == id {
			notify.Signal(moved)
		}
	})()
	for {
		c, err := b.Get(id)
		if err != nil || !c.State.Open() {
			return c, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return c, nil
		}
	}
}
