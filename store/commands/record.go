package commands

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// record is a command in hub.db. What the protocol has a form for is kept in that form: so it comes back as it was.
type record struct {
	Device     string `cbor:"1,keyasint"`
	Message    []byte `cbor:"2,keyasint"` // COMMAND as of its creation
	State      State  `cbor:"3,keyasint"`
	Text       string `cbor:"4,keyasint,omitempty"`
	Result     []byte `cbor:"5,keyasint,omitempty"` // RESULT with the values, if there are any
	By         string `cbor:"6,keyasint,omitempty"`
	From       string `cbor:"7,keyasint,omitempty"`
	Created    int64  `cbor:"8,keyasint"` // ns since 1970
	Sent       int64  `cbor:"9,keyasint,omitempty"`
	Changed    int64  `cbor:"10,keyasint"`
	Idempotent bool   `cbor:"11,keyasint,omitempty"`
	Stream     uint64 `cbor:"12,keyasint,omitempty"`
	Turn       uint64 `cbor:"13,keyasint,omitempty"`
	Deadline   int64  `cbor:"14,keyasint"`
}

func (c *Command) encode() []byte {
	r := record{
		Device: c.Device, Message: device.AppendControl(nil, c.Message(c.Created)), State: c.State, Text: c.Text, By: c.By, From: c.From,
		Created: c.Created.UnixNano(), Deadline: c.Deadline.UnixNano(), Changed: c.Changed.UnixNano(), Idempotent: c.Idempotent,
		Stream: c.stream, Turn: c.turn,
	}
	if !c.Sent.IsZero() {
		r.Sent = c.Sent.UnixNano()
	}
	if len(c.Values) > 0 {
		r.Result = device.AppendControl(nil, &device.Result{ID: c.ID, Values: c.Values})
	}
	return hubdb.Encode(&r)
}

// decode reads what encode wrote.
func (c *Command) decode(number uint64, value []byte) error {
	var r record
	if err := cbor.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("command %d in hub.db: %w", number, err)
	}
	m, err := device.ParseControl(r.Message)
	if err != nil {
		return fmt.Errorf("command %d in hub.db: %w", number, err)
	}
	message, ok := m.(*device.Command)
	if !ok {
		return fmt.Errorf("command %d in hub.db is a %v", number, m.Type())
	}
	*c = Command{
		ID: message.ID, Number: number, Device: r.Device, Name: message.Name, Args: message.Args, State: r.State, Text: r.Text,
		By: r.By, From: r.From, Created: hubdb.Time(r.Created), Deadline: hubdb.Time(r.Deadline), Sent: hubdb.Time(r.Sent), Changed: hubdb.Time(r.Changed),
		Idempotent: r.Idempotent, stream: r.Stream, turn: r.Turn,
	}
	if len(r.Result) > 0 {
		m, err := device.ParseControl(r.Result)
		if err != nil {
			return fmt.Errorf("result of command %d in hub.db: %w", number, err)
		}
		if result, ok := m.(*device.Result); ok {
			c.Values = result.Values
		}
	}
	return nil
}
