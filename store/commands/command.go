package commands

import (
	"errors"
	"reflect"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	// DefaultTTL is how long a command lives if nobody says otherwise.
	DefaultTTL = 30 * time.Second

	minTTL = time.Second
	maxTTL = 7 * 24 * time.Hour
)

// What is wrong with a command; the errors that wrap them are [*Error].
var (
	ErrBad      = errors.New("bad command")       // the device does not take it like this
	ErrNone     = errors.New("no such command")   // or it is no longer kept
	ErrConflict = errors.New("conflicting ids")   // the id names another command
	ErrFull     = errors.New("too many commands") // wait for their device
	ErrTooLate  = errors.New("too late")          // it is with the device, or settled
)

// Error is why a command, or a desired value, is refused.
type Error struct {
	Kind error // ErrBad or another of the errors above
	Text string
	Hint string // what to do about it
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// New is a command to be sent.
type New struct {
	ID     device.CommandID // made by whoever wants it sent, and the same when sent again; zero: a new one
	Device string
	Name   string
	Args   map[string]any // bool, int64, float64 or string; a whole float64 will do for an integer
	TTL    time.Duration  // from now; 0: DefaultTTL; from 1 s to 7 days
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
	State      State            `json:"state"`
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
	left := min(max(c.Deadline.Sub(now), 0), maxTTL)
	return &device.Command{ID: c.ID, Name: c.Name, Args: c.Args, Deadline: c.Deadline.UnixMicro(), TTL: uint32(left.Milliseconds())}
}

// Message is the COMMAND for a connection whose WELCOME showed a clock of this base: the device counts the deadline by that clock,
// whatever it shows by now.
func (b *Book) Message(c *Command, base int64) *device.Command {
	m := c.Message(time.UnixMicro(c.base + b.Clock.Elapsed()))
	m.Deadline += base - c.base
	return m
}

// move has the times follow a clock that was set.
func (c *Command) move(by time.Duration) {
	for _, t := range []*time.Time{&c.Created, &c.Deadline, &c.Sent, &c.Changed} {
		*t = wallclock.Shift(*t, by)
	}
}

// same says whether a command sent again is the one that is known.
func (c *Command) same(other *Command) bool {
	return c.Device == other.Device && c.Name == other.Name &&
		(len(c.Args) == 0 && len(other.Args) == 0 || reflect.DeepEqual(c.Args, other.Args))
}
