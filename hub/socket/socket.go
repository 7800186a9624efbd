// Package socket is the server's side of RFC 6455: the handshake is checked (handshake.go) and answered (socket.go), frames
// are read strictly and written (frame.go, conn.go), and every write has a deadline (wire.go). It speaks no extension.
//
// A connection has one goroutine in Serve. What is sent may come from any goroutine, and waits for the peer for the write
// timeout at most: after that the connection is cut, and Serve returns.
//
// A connection at rest costs its read buffer, and the memory of a message grows with what has come of it.
package socket

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"time"
)

// Options is what all connections of an Upgrader have in common.
type Options struct {
	Protocol     string               // subprotocol that is spoken, chosen if a client offers it (RFC 6455 §1.9)
	MaxReceived  int                  // bytes of a message; more: closed with 1009
	UTF8         bool                 // text messages must be UTF-8; otherwise: closed with 1007
	WriteTimeout time.Duration        // how long the peer may take nothing of what is written
	Elapsed      func() time.Duration // monotonic clock of Heard and Waiting
}

const (
	// readBuffer is the size of the read buffer of a connection: most frames fit, and ten thousand of them cost 5 MiB.
	readBuffer = 512

	// spares is how many buffers of a kind are kept. More connections than this seldom work at the same moment.
	spares = 16

	// keptBuffer is how many bytes a buffer may have to be kept.
	keptBuffer = 16 << 10
)

// Upgrader makes connections out of requests.
type Upgrader struct {
	options Options
	buffers pool[buffer] // of messages that have not come whole
	firsts  pool[first]  // of frames to be sent
}

// NewUpgrader returns an upgrader.
func NewUpgrader(o Options) *Upgrader {
	return &Upgrader{options: o, buffers: make(pool[buffer], spares), firsts: make(pool[first], spares)}
}

// Upgrade answers 101 to a request that Check has passed. Serve must be called then, outside the HTTP handler, which
// should return; or Cut. After an error the connection is closed.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		Refuse(w, http.StatusHTTPVersionNotSupported, "Use HTTP/1.1 for the WebSocket handshake.")
		return nil, err
	}
	// The server's own 4 KiB buffer is not kept, only what it has read already.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	c := u.connect(conn, bytes.Clone(early))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptKey(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))) + "\r\n"
	if r.Header.Get("Sec-WebSocket-Protocol") != "" {
		answer += "Sec-WebSocket-Protocol: " + u.options.Protocol + "\r\n"
	}
	if err := c.wire.write([]byte(answer + "\r\n")); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes a connection of conn, from which early has been read already.
func (u *Upgrader) connect(conn net.Conn, early []byte) *Conn {
	c := &Conn{upgrader: u}
	c.wire.conn, c.wire.options, c.wire.early = conn, &u.options, early
	c.br = bufio.NewReaderSize(&c.wire, readBuffer)
	return c
}

// acceptKey proves that the handshake was understood (RFC 6455 §4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// buffer holds a message.
type buffer struct{ b []byte }

// first is room for a header and the first bytes of a payload, or all of a short one.
type first [1 << 10]byte

// pool keeps values for the next one who needs such a value, as many as the channel's capacity.
type pool[T any] chan *T

func (p pool[T]) get() *T {
	select {
	case v := <-p:
		return v
	default:
		return new(T)
	}
}

func (p pool[T]) put(v *T) {
	select {
	case p <- v:
	default:
	}
}
