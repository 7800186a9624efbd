package device

import "fmt"

// CloseCode is a WebSocket close code (RFC 6455 §7.4). 1000–1015 have their RFC meaning; 4000–4999 are ours.
type CloseCode uint16

// The codes a hub closes a device connection with. PROTOCOL.md says what a device does on each.
const (
	CloseNormal          CloseCode = 1000 // done
	CloseGoingAway       CloseCode = 1001 // the hub shuts down
	CloseProtocolError   CloseCode = 1002 // a broken WebSocket frame
	CloseUnsupportedData CloseCode = 1003 // a text message
	ClosePolicy          CloseCode = 1008 // refused for a reason given in the text
	CloseTooBig          CloseCode = 1009 // a message longer than MaxMessage
	CloseInternal        CloseCode = 1011 // the hub failed
	CloseRestart         CloseCode = 1012 // the hub restarts
	CloseTryLater        CloseCode = 1013 // the hub is overloaded
	CloseBadState        CloseCode = 4000 // a message that is not allowed now, or not of this protocol
	CloseReplaced        CloseCode = 4001 // a newer connection of the same device took over
	CloseRevoked         CloseCode = 4002 // the token is no longer valid
	CloseIdle            CloseCode = 4003 // nothing was heard for the idle time of WELCOME
	CloseBadSchema       CloseCode = 4004 // SCHEMA is malformed or has not the announced hash
	CloseTooSparse       CloseCode = 4005 // more than MaxSparseRanges holes: send the oldest frames first
	CloseSlow            CloseCode = 4006 // the device does not read what the hub sends
)

// RejectCode says why the hub will never store a DATA message.
type RejectCode uint8

const (
	RejectMalformed      RejectCode = 1 // the bytes do not follow the layout
	RejectUnknownChannel RejectCode = 2 // a channel the schema does not have
	RejectBadValue       RejectCode = 3 // a value its channel cannot have
	RejectLimit          RejectCode = 4 // a limit of the protocol exceeded
	RejectNoSchema       RejectCode = 5 // no schema was announced before it
)

// LostReason is why a device no longer has the frames it declares lost.
type LostReason uint8

const (
	LostOverwritten LostReason = 1 // the buffer was full and newer frames took the place
	LostCorrupted   LostReason = 2 // the buffer was damaged
	LostUnsent      LostReason = 3 // the sequence number was never used
)

// GoAwayReason is why the hub asks the device to leave.
type GoAwayReason uint8

const (
	GoAwayShutdown GoAwayReason = 1 // the hub stops or restarts
	GoAwayOverload GoAwayReason = 2 // the hub sheds load
	GoAwayClock    GoAwayReason = 3 // the hub's clock was set, and the device has the time from WELCOME
)

// ResultStatus is how a command ended on the device.
type ResultStatus uint8

const (
	ResultSucceeded ResultStatus = 0
	ResultFailed    ResultStatus = 1 // tried, and it went wrong
	ResultRejected  ResultStatus = 2 // not tried: unknown name, bad argument, not allowed now
	ResultExpired   ResultStatus = 3 // not tried: its time was over
)

// String returns the code in words, the same in logs, metrics and on the screen.
func (c RejectCode) String() string {
	switch c {
	case RejectMalformed:
		return "malformed"
	case RejectUnknownChannel:
		return "unknown channel"
	case RejectBadValue:
		return "bad value"
	case RejectLimit:
		return "limit"
	case RejectNoSchema:
		return "no schema"
	default:
		return fmt.Sprintf("code %d", uint8(c))
	}
}

// String returns the reason in words.
func (r LostReason) String() string {
	switch r {
	case LostOverwritten:
		return "overwritten"
	case LostCorrupted:
		return "corrupted"
	case LostUnsent:
		return "unsent"
	default:
		return fmt.Sprintf("reason %d", uint8(r))
	}
}
