// Package stomp reads and writes frames of STOMP 1.2 (stomp.github.io/stomp-specification-1.2.html), without any
// connection. What it reads is bounded by Limits before memory is taken for it.
//
//	frame   = command EOL *(header EOL) EOL *octet NUL *EOL
//	header  = name ":" value
//	EOL     = [CR] LF
//
// In names and values of all frames but CONNECT, STOMP and CONNECTED, CR LF ":" and "\" are written \r \n \c \\.
// Nothing is trimmed. Of a repeated header the first counts.
package stomp

// Commands of a client.
const (
	Connect     = "CONNECT"
	Stomp       = "STOMP" // the same as CONNECT
	Send        = "SEND"  // may have a body
	Subscribe   = "SUBSCRIBE"
	Unsubscribe = "UNSUBSCRIBE"
	Begin       = "BEGIN"
	Commit      = "COMMIT"
	Abort       = "ABORT"
	Ack         = "ACK"
	Nack        = "NACK"
	Disconnect  = "DISCONNECT"
)

// Commands of a server.
const (
	Connected = "CONNECTED"
	Message   = "MESSAGE" // may have a body
	Receipt   = "RECEIPT"
	Error     = "ERROR" // may have a body
)

// Header is one line of a frame's head.
type Header struct{ Name, Value string }

// Headers are the lines in their order.
type Headers []Header

// Get returns the value of the first header of a name.
func (h Headers) Get(name string) (value string, ok bool) {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value, true
		}
	}
	return "", false
}

// Value is Get, with "" for a header that is not there.
func (h Headers) Value(name string) string {
	value, _ := h.Get(name)
	return value
}

// Frame is one frame.
type Frame struct {
	Command string
	Headers Headers
	Body    []byte
}

// Size is how many bytes the frame holds in memory, roughly.
func (f *Frame) Size() int {
	const header = 32 // bytes of a Header itself
	n := len(f.Command) + len(f.Body)
	for i := range f.Headers {
		n += header + len(f.Headers[i].Name) + len(f.Headers[i].Value)
	}
	return n
}

// escapes reports whether names and values of a command's frames are escaped.
func escapes(command string) bool {
	return command != Connect && command != Stomp && command != Connected
}

// hasBody reports whether a command's frames may have a body.
func hasBody(command string) bool {
	return command == Send || command == Message || command == Error
}
