package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

const (
	// DefaultCommandTTL is how long a command lives if nobody says otherwise.
	DefaultCommandTTL = 30 * time.Second

	minCommandTTL = time.Second
	maxCommandTTL = 7 * 24 * time.Hour

	maxDeviceCommands = 1_000  // open ones of one device
	maxOpenCommands   = 20_000 // open ones of all devices
	maxCommandsPage   = 1_000  // in one answer

	// A command that was sent is unknown so long after its deadline, or after it was sent, whichever comes first.
	answerTime     = 5 * time.Second
	mostAnswerTime = 5 * time.Minute
)

// What is wrong with a command; the errors that wrap them are [*CommandError].
var (
	ErrBadCommand      = errors.New("bad command")       // the device does not take it like this
	ErrNoCommand       = errors.New("no such command")   // or it is no longer kept
	ErrCommandConflict = errors.New("conflicting ids")   // the id names another command
	ErrCommandsFull    = errors.New("too many commands") // wait for their device
	ErrCommandTooLate  = errors.New("too late")          // it is with the device, or settled
)

// CommandError is why a command, or a desired value, is refused.
type CommandError struct {
	kind error
	Text string
	Hint string // what to do about it
}

func (e *CommandError) Error() string { return e.Text }

// Unwrap returns ErrBadCommand or another of the errors above.
func (e *CommandError) Unwrap() error { return e.kind }

// NewCommand is a command to be sent.
type NewCommand struct {
	ID     device.CommandID // made by whoever wants it sent, and the same when sent again; zero: a new one
	Device string
	Name   string
	Args   map[string]any // bool, int64, float64 or string; a whole float64 will do for an integer
	TTL    time.Duration  // from now; 0: DefaultCommandTTL; from 1 s to 7 days
	By     string         // who wants it
	From   string         // from where
}

// Command is a command as the hub keeps it.
type Command struct {
	ID         device.CommandID `json:"id"`
	Number     uint64           `json:"number"` // counts the commands of all devices, in the order in which they were accepted
	Device     string           `json:"device"`
	Name       string           `json:"name"`
	Args       map[string]any   `json:"args,omitempty"` // bool, int64, float64 or string
	State      CommandState     `json:"state"`
	Text       string           `json:"text,omitempty"`   // why it is in this state, in the device's words if it answered
	Values     map[string]any   `json:"values,omitempty"` // what came out; NaN and infinities are the texts NaN, Infinity, -Infinity
	By         string           `json:"by"`
	From       string           `json:"from,omitempty"`
	Created    time.Time        `json:"created"`
	Deadline   time.Time        `json:"deadline"`      // not to be begun after it
	Sent       time.Time        `json:"sent,omitzero"` // first
	Changed    time.Time        `json:"changed"`       // when the state began
	Idempotent bool             `json:"idempotent,omitempty"`

	stream uint64 // of the device, that it was first sent to
	turn   uint64 // counts the commands first sent to the device
	base   int64  // of the clock that its times are by, in µs; only of one that is to be sent
}

// Message is the COMMAND that tells the device at the moment now.
func (c *Command) Message(now time.Time) *device.Command {
	left := min(max(c.Deadline.Sub(now), 0), maxCommandTTL)
	return &device.Command{ID: c.ID, Name: c.Name, Args: c.Args, Deadline: c.Deadline.UnixMicro(), TTL: uint32(left.Milliseconds())}
}

// CommandMessage is the COMMAND for a connection whose WELCOME showed a clock of this base: the device counts the deadline by that
// clock, whatever it shows by now.
func (s *Store) CommandMessage(c *Command, base int64) *device.Command {
	m := c.Message(time.UnixMicro(c.base + s.clock.Elapsed()))
	m.Deadline += base - c.base
	return m
}

// SendCommand accepts a command: when it returns, the command is on disk, and reaches its device if that connects in time. Sent
// again with the same ID and content, it is returned as it is by then. Errors are [*CommandError] and ErrNoDevice.
func (s *Store) SendCommand(n NewCommand) (Command, error) {
	c, spec, err := s.prepareCommand(&n)
	if err != nil {
		return Command{}, err
	}
	var accepted *Command
	err = s.commands.do(func(ch *commandChange) (err error) {
		accepted, err = ch.accept(c, spec)
		return err
	})
	if err != nil {
		return Command{}, err
	}
	return *accepted, nil
}

// CancelCommand takes back a command that is still queued. The error wraps ErrNoCommand or ErrCommandTooLate.
func (s *Store) CancelCommand(id device.CommandID, by, from string) (Command, error) {
	var cancelled *Command
	err := s.commands.do(func(ch *commandChange) error {
		c, err := ch.find(id)
		if err != nil {
			return err
		}
		var ok bool
		if cancelled, ok = ch.apply(c, eventCancel, who{by, from}, func(c *Command) { c.Text = "cancelled by " + by }); !ok {
			return &CommandError{ErrCommandTooLate, fmt.Sprintf("command %v is %s: only a queued one can be cancelled", id, c.State), ""}
		}
		return nil
	})
	if err != nil {
		return Command{}, err
	}
	return *cancelled, nil
}

// Command returns a command. The error wraps ErrNoCommand.
func (s *Store) Command(id device.CommandID) (c Command, err error) {
	number, ok := s.commands.number(id)
	if !ok {
		return c, noCommand(id)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		value := hubdb.Get(tx.Bucket(hubdb.BucketCommands), hubdb.Key8(number))
		if value == nil {
			return noCommand(id)
		}
		return c.decode(number, value)
	})
	return c, err
}

func noCommand(id device.CommandID) error {
	return &CommandError{ErrNoCommand, fmt.Sprintf("there is no command %v", id), "settled commands are kept for a while, not for ever"}
}

// CommandFilter selects commands. Zero values select all.
type CommandFilter struct {
	Device string
	States []CommandState
	Since  time.Time // accepted at this moment or later
	Before uint64    // lower numbers only: the page behind another
	Limit  int       // 0: 100; at most 1000
}

// Commands returns commands, the newest first.
func (s *Store) Commands(f CommandFilter) ([]Command, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, maxCommandsPage)
	list := []Command{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return s.commands.newestFirst(tx, f, func(number uint64, value []byte) (more bool, err error) {
			var c Command
			if c.decode(number, value) != nil {
				return true, nil // the next start reports it
			}
			if c.Created.Before(f.Since) {
				return false, nil
			}
			if len(f.States) == 0 || slices.Contains(f.States, c.State) {
				list = append(list, c)
			}
			return len(list) < f.Limit, nil
		})
	})
	return list, err
}

// WatchCommands calls f after every transition of a command, and when its times have moved with a clock that was set, when it is on
// disk, in order. f must be quick and must not call
// methods of the store that change commands. stop ends it, and may be called more than once.
func (s *Store) WatchCommands(f func(Command)) (stop func()) { return s.commands.watchers.add(f) }

// AwaitCommand returns the command when it is no longer open, or as it is when ctx ends, without an error.
func (s *Store) AwaitCommand(ctx context.Context, id device.CommandID) (Command, error) {
	moved := make(chan struct{}, 1)
	defer s.WatchCommands(func(c Command) {
		if c.ID == id {
			signal(moved)
		}
	})()
	for {
		c, err := s.Command(id)
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
