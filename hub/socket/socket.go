// Package socket makes gws safe to use towards strangers. gws parses and frames; this package checks the handshake, which gws
// does loosely (handshake.go), and stands between gws and the connection: what comes is held to the letter of RFC 6455 before gws
// gets to see it (check.go), and every write has a deadline (wire.go).
//
// A connection has one goroutine in Serve. What is sent may come from any goroutine, and waits for the peer for the write
// timeout at most: after that the connection is cut, and Serve returns.
package socket

import (
	"bufio"
	"bytes"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/lxzan/gws"
)

// Options is what all connections of an Upgrader have in common.
type Options struct {
	Protocol     string               // subprotocol that is spoken, chosen if a client offers it (RFC 6455 §1.9)
	MaxReceived  int                  // bytes of a message; more: closed with 1009
	UTF8         bool                 // text messages must be UTF-8; otherwise: closed with 1007
	WriteTimeout time.Duration        // how long the peer may take nothing of what is written
	Elapsed      func() time.Duration // monotonic clock of Heard and Waiting
}

// readBuffer is the size of the read buffer of a connection: most frames fit, and ten thousand of them cost 5 MiB.
const readBuffer = 512

// Upgrader makes connections out of requests.
type Upgrader struct {
	options Options
	offered *gws.Upgrader // for clients that offer the subprotocol
	plain   *gws.Upgrader // for clients that offer none
}

// NewUpgrader returns an upgrader.
func NewUpgrader(o Options) *Upgrader {
	option := func(protocols ...string) *gws.ServerOption { // gws writes to it
		return &gws.ServerOption{
			ReadMaxPayloadSize:  o.MaxReceived,
			WriteMaxPayloadSize: math.MaxInt32, // who sends knows how much
			ParallelGolimit:     1,             // sizes a channel that is made even when nothing runs in parallel
			SubProtocols:        protocols,
			HandshakeTimeout:    o.WriteTimeout,
			NewSession:          func() gws.SessionStorage { return nil }, // the wire knows the connection
		}
	}
	return &Upgrader{
		options: o,
		offered: gws.NewUpgrader(events{}, option(o.Protocol)),
		plain:   gws.NewUpgrader(events{}, option()),
	}
}

// Upgrade answers 101 to a request that Check has passed. Serve must be called then, outside the HTTP handler, which
// should return; or TurnAway. After an error the connection is closed.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		Refuse(w, http.StatusHTTPVersionNotSupported, "Use HTTP/1.1 for the WebSocket handshake.")
		return nil, err
	}
	// The server's own 4 KiB buffer is not kept, only what it has read already.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	return u.connect(conn, bytes.Clone(early), r)
}

// connect makes a connection of conn, from which early has been read already.
func (u *Upgrader) connect(conn net.Conn, early []byte, r *http.Request) (_ *Conn, err error) {
	c := &Conn{}
	c.wire = wire{
		Conn: conn, conn: c, options: &u.options, early: early,
		checker: checker{maxMessage: u.options.MaxReceived, utf8: u.options.UTF8},
	}
	upgrader := u.offered
	if r.Header.Get("Sec-WebSocket-Protocol") == "" {
		upgrader = u.plain
	}
	if c.gws, err = upgrader.UpgradeFromConn(&c.wire, bufio.NewReaderSize(&c.wire, readBuffer), r); err != nil {
		c.wire.cut()
		return nil, err
	}
	return c, nil
}
