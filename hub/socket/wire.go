package socket

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	// opClose is the first byte of an unfragmented Close frame (RFC 6455 §5.5.1).
	opClose = 0x88

	// chunk is how many bytes are written under one deadline: a slow peer is one that takes less in the write timeout,
	// however long the message.
	chunk = 64 << 10

	closeInvalidData device.CloseCode = 1007 // a text message that is not UTF-8 (RFC 6455 §7.4.1)
)

// errFlood ends reading when one message comes in too many pieces.
var errFlood = errors.New("too many fragments")

// wire is the connection below gws. It bounds every write, knows when the peer was last heard, and keeps gws from saying
// what should not be said: anything after a Close frame, or the Go text of a read error as a close reason.
type wire struct {
	// static
	net.Conn // *tls.Conn, unless the handler is served without TLS
	conn     *Conn
	options  *Options

	// owned by Serve
	early   []byte // what the HTTP server had read beyond the request
	partial int    // bytes since the last whole message; gws would take empty fragments for ever
	ended   bool   // reading has failed
	closed  bool   // the peer has closed, and sends nothing more

	heard   atomic.Int64 // elapsed ns when bytes last came; 0: never
	waiting atomic.Int64 // elapsed ns since when Read has been waiting; 0: it is not
	silent  atomic.Bool  // nothing is to be written any more
	slow    atomic.Bool  // a write has waited too long
	refused atomic.Int32 // code of the Close frame with which gws has refused what it read; 0: it has not
}

// Read notes when the peer was heard, and since when it is waited for.
func (w *wire) Read(b []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(b, w.early) // less than the HTTP server's buffer: no need to count it
		w.early = w.early[n:]
		w.heard.Store(int64(w.options.Elapsed()))
		return n, nil
	}
	w.waiting.Store(int64(w.options.Elapsed()))
	n, err := w.Conn.Read(b)
	w.waiting.Store(0)
	if n > 0 {
		w.heard.Store(int64(w.options.Elapsed()))
		// A message may take this many bytes with all its frame headers.
		if w.partial += n; w.partial > 8*w.options.MaxReceived {
			return 0, errFlood
		}
	}
	if err != nil {
		w.ended = true
		// gws answers a read error with Close 1000 and the error's text, which would tell the peer our addresses.
		w.silent.Store(true)
	}
	return n, err
}

// Write writes one WebSocket frame, or the answer to the handshake. After a Close frame it only pretends to, because gws
// would close the connection on an error, before the peer has read what was sent.
func (w *wire) Write(b []byte) (int, error) {
	if w.silent.Load() {
		return len(b), nil
	}
	frame := b
	if b[0] == opClose {
		w.silent.Store(true)
		frame = w.plainClose(b)
	}
	for len(frame) > 0 {
		part := frame[:min(len(frame), chunk)]
		if err := w.SetWriteDeadline(time.Now().Add(w.options.WriteTimeout)); err != nil {
			return 0, err
		}
		if _, err := w.Conn.Write(part); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.slow.Store(true)
			}
			w.cut() // part of a frame may be on the way: nothing sensible can follow
			return 0, err
		}
		frame = frame[len(part):]
	}
	return len(b), nil
}

// Close does nothing: gws calls it right after its Close frame, while the peer may still be sending, and the reset that
// follows would take the Close frame with it. hangUp comes when Serve has ended.
func (w *wire) Close() error { return nil }

func (w *wire) hangUp(within time.Duration) {
	timer := time.AfterFunc(within, w.cut)
	defer timer.Stop()
	if !w.closed && !w.ended {
		if t, ok := w.Conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, w.Conn)
	}
	_ = w.Conn.Close()
}

// cut ends the connection at once. tls.Conn.Close would try to say goodbye, for up to five seconds.
func (w *wire) cut() {
	conn := w.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok && w.slow.Load() {
		_ = l.SetLinger(0) // or the kernel would go on to offer what the peer does not read
	}
	_ = conn.Close()
}

// plainClose replaces the reasons of gws, which name the library, by ones that help the author of a client.
func (w *wire) plainClose(frame []byte) []byte {
	if len(frame) < 4 {
		return frame
	}
	code, text := device.CloseCode(binary.BigEndian.Uint16(frame[2:])), string(frame[4:])
	switch {
	case code == device.CloseNormal && text == errFlood.Error():
		code = device.ClosePolicy
	case !strings.HasPrefix(text, "gws: "):
		return frame
	}
	if code != device.CloseGoingAway { // that is for a write that failed
		w.refused.Store(int32(code))
	}
	body := closeBody(code, w.textOf(code))
	return append([]byte{opClose, byte(len(body))}, body...)
}

// textOf is what we say with a code that gws chose.
func (w *wire) textOf(code device.CloseCode) string {
	switch code {
	case device.CloseTooBig:
		return fmt.Sprintf("a message may have at most %d bytes", w.options.MaxReceived)
	case device.CloseProtocolError:
		return "broken WebSocket frame"
	case device.ClosePolicy:
		return errFlood.Error()
	case closeInvalidData:
		return "a text message must be UTF-8"
	default:
		return ""
	}
}

// closeBody is the payload of a Close frame; text is cut to what a control frame can hold (RFC 6455 §5.5).
func closeBody(code device.CloseCode, text string) []byte {
	const room = 125 - 2
	text = strings.ToValidUTF8(text[:min(len(text), room)], "") // RFC 6455 §5.5.1; the cut may go through a letter
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), text...)
}
