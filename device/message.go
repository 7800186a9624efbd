package device

import "fmt"

// Subprotocol is the WebSocket subprotocol both sides name in the handshake.
const Subprotocol = "telemetry.v1"

// Path is where the hub accepts devices.
const Path = "/v1/device"

// Type is the first byte of every message. The hub's types have the high bit set.
type Type byte

const (
	TypeHello  Type = 0x01 // device → hub: who connects and what it holds
	TypeSchema Type = 0x02 // device → hub: channels and commands
	TypeData   Type = 0x03 // device → hub: readings, packed
	TypeLost   Type = 0x04 // device → hub: frames it no longer has
	TypeResult Type = 0x05 // device → hub: how a command ended

	TypeWelcome Type = 0x81 // hub → device: what is received, how to send
	TypeAck     Type = 0x82 // hub → device: these frames are on disk
	TypeReject  Type = 0x83 // hub → device: this frame will never be stored
	TypeResend  Type = 0x84 // hub → device: these frames are missing
	TypeCommand Type = 0x85 // hub → device: do this
	TypeGoAway  Type = 0x86 // hub → device: leave and come back later
)

// Clock says what a device's time stamps count from.
type Clock uint8

const (
	ClockWall Clock = 0 // µs since 1970-01-01 UTC
	ClockBoot Clock = 1 // µs since the device booted
)

// Hello opens a connection; it is the first message of the device.
type Hello struct {
	Stream     uint64 `cbor:"1,keyasint"`           // random name of the device's buffer, never 0
	Boot       uint64 `cbor:"2,keyasint,omitempty"` // boot counter
	Now        int64  `cbor:"3,keyasint"`           // µs on the device's clock at this moment
	Clock      Clock  `cbor:"4,keyasint,omitempty"` // what Now counts from
	SchemaHash Hash   `cbor:"5,keyasint"`           // of the schema the device uses, see HashSchema
	Oldest     uint64 `cbor:"6,keyasint"`           // lowest sequence number still in the buffer; Next if it is empty
	Next       uint64 `cbor:"7,keyasint"`           // sequence number of the next new frame, from 1
	AckDelay   uint32 `cbor:"8,keyasint,omitempty"` // ms the hub may wait to gather acks; 0: ack every commit
	Firmware   string `cbor:"9,keyasint,omitempty"`
	Model      string `cbor:"10,keyasint,omitempty"`
}

// Lost declares First to Last as gone for good.
type Lost struct {
	First  uint64     `cbor:"1,keyasint"`
	Last   uint64     `cbor:"2,keyasint"`
	Reason LostReason `cbor:"3,keyasint"`
	Text   string     `cbor:"4,keyasint,omitempty"`
}

// Result answers a Command.
type Result struct {
	ID     CommandID      `cbor:"1,keyasint"` // of the command
	Status ResultStatus   `cbor:"2,keyasint"`
	Text   string         `cbor:"3,keyasint,omitempty"` // for people
	Values map[string]any `cbor:"4,keyasint,omitempty"` // bool, int64, float64 or string
}

// Welcome answers Hello.
type Welcome struct {
	Device       string `cbor:"1,keyasint"`            // the id the token stands for
	Now          int64  `cbor:"2,keyasint"`            // hub time, µs since 1970
	Received     Ranges `cbor:"3,keyasint"`            // settled of this stream; more may be settled than is listed
	NeedSchema   bool   `cbor:"4,keyasint,omitempty"`  // send SCHEMA before any DATA
	WindowFrames uint32 `cbor:"5,keyasint"`            // frames that may be unacked
	WindowBytes  uint32 `cbor:"6,keyasint"`            // bytes of DATA messages that may be unacked
	AckDelay     uint32 `cbor:"7,keyasint,omitempty"`  // ms, what the hub grants
	Idle         uint32 `cbor:"8,keyasint"`            // ms of silence after which the hub closes; ping well before
	FrameRate    uint32 `cbor:"9,keyasint"`            // DATA messages a second the hub reads at most
	NeedStream   bool   `cbor:"10,keyasint,omitempty"` // begin a new stream: the numbers from Hello.Next on cannot be used
}

// Ack says that these sequence numbers are settled: stored, rejected or declared lost.
type Ack struct {
	Ranges Ranges `cbor:"1,keyasint"`
}

// Reject says that a DATA message will never be stored. It is settled: do not send it again.
type Reject struct {
	Seq  uint64     `cbor:"1,keyasint"` // 0 if the hub could not read it
	Code RejectCode `cbor:"2,keyasint"`
	Text string     `cbor:"3,keyasint"`
}

// Resend asks for frames the hub misses; the device sends each again or answers Lost.
type Resend struct {
	Ranges Ranges `cbor:"1,keyasint"`
}

// Command asks the device to act. A device that has seen the ID before repeats its Result and does nothing.
type Command struct {
	ID       CommandID      `cbor:"1,keyasint"`
	Name     string         `cbor:"2,keyasint"`
	Args     map[string]any `cbor:"3,keyasint,omitempty"` // bool, int64, float64 or string
	Deadline int64          `cbor:"4,keyasint"`           // µs since 1970; not to be begun after it
	TTL      uint32         `cbor:"5,keyasint"`           // ms left when the hub sent it, for a device without wall clock
}

// GoAway asks the device to close and to return after a random time between the two bounds.
type GoAway struct {
	Reason GoAwayReason `cbor:"1,keyasint"`
	MinMS  uint32       `cbor:"2,keyasint"`
	MaxMS  uint32       `cbor:"3,keyasint"`
	Text   string       `cbor:"4,keyasint,omitempty"`
}

// Message is any control message. DATA is not one: see ParseData.
type Message interface {
	Type() Type
	// Validate tells whether the message obeys the limits of telemetry.v1. ParseControl has validated what it returns;
	// a sender validates what people or other programs gave it.
	Validate() error
}

func (*Hello) Type() Type   { return TypeHello }
func (*Schema) Type() Type  { return TypeSchema }
func (*Lost) Type() Type    { return TypeLost }
func (*Result) Type() Type  { return TypeResult }
func (*Welcome) Type() Type { return TypeWelcome }
func (*Ack) Type() Type     { return TypeAck }
func (*Reject) Type() Type  { return TypeReject }
func (*Resend) Type() Type  { return TypeResend }
func (*Command) Type() Type { return TypeCommand }
func (*GoAway) Type() Type  { return TypeGoAway }

// String returns the name that PROTOCOL.md gives the type.
func (t Type) String() string {
	switch t {
	case TypeHello:
		return "HELLO"
	case TypeSchema:
		return "SCHEMA"
	case TypeData:
		return "DATA"
	case TypeLost:
		return "LOST"
	case TypeResult:
		return "RESULT"
	case TypeWelcome:
		return "WELCOME"
	case TypeAck:
		return "ACK"
	case TypeReject:
		return "REJECT"
	case TypeResend:
		return "RESEND"
	case TypeCommand:
		return "COMMAND"
	case TypeGoAway:
		return "GOAWAY"
	default:
		return fmt.Sprintf("type 0x%02x", byte(t))
	}
}
