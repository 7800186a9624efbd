// Package client is the reference device of telemetry.v1: it keeps a connection to a hub, buffers what the hub has not
// acknowledged, and answers commands.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Config says who the device is and where its hub is.
type Config struct {
	URL   string      // of the hub: wss://HOST[:PORT]; the path defaults to device.Path
	Token string      // proves who the device is
	TLS   *tls.Config // nil: the system's roots. It is cloned

	Schema   *device.Schema // what the device measures and what it can be told
	Firmware string         // version for people, at most device.MaxText bytes
	Model    string         // hardware for people, at most device.MaxText bytes

	Clock device.Clock     // what Data.Times count from
	Boot  uint64           // boot counter; needed with device.ClockBoot
	Now   func() time.Time // wall clock; nil: time.Now

	BufferPath  string        // file that keeps unacknowledged frames; empty: memory only
	BufferBytes int           // bound of the buffer; 0: 1 MiB in memory, 16 MiB on disk
	BacklogRate int           // frames a second sent behind live data; 0: 50
	AckDelay    time.Duration // how long the hub may gather acks; 0: one per commit

	// OnCommand carries out a command.
	OnCommand func(ctx context.Context, cmd device.Command) device.Result

	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
	Logger *slog.Logger                                                      // nil: silent
	Faults *Faults                                                           // nil: none
}

// Faults makes a device misbehave on purpose, for tests of a hub.
type Faults struct {
	Duplicate func(seq uint64) bool // send this frame twice
	Cut       func(seq uint64) bool // cut the TCP connection after sending this frame
}

// Stats are the books of a client since New.
type Stats struct {
	Created  uint64 // frames given a sequence number
	Sent     uint64 // transmissions of frames
	Acked    uint64 // frames settled by the hub, not counting the two below
	Rejected uint64 // frames the hub will never store
	Lost     uint64 // frames overwritten or damaged before they were acked
	Unacked  uint64 // frames in the buffer
	Connects uint64 // connections that got WELCOME

	Connected bool   // WELCOME was received and the connection stands
	LastError string // why the last connection ended or failed; empty if none has
}

// Client is one device.
type Client struct{}

var errNotBuilt = errors.New("client: not built yet")

// New opens the buffer. It does not connect: see Run.
func New(cfg Config) (*Client, error) { return nil, errNotBuilt }

// Send gives d the next sequence number and buffers it.
func (c *Client) Send(d *device.Data) (seq uint64, err error) { return 0, errNotBuilt }

// SendEncoded buffers a DATA message encoded by the caller: encode appends the message with sequence number seq to dst.
func (c *Client) SendEncoded(encode func(dst []byte, seq uint64) []byte) (seq uint64, err error) {
	return 0, errNotBuilt
}

// SetSchema replaces the schema; later frames follow it.
func (c *Client) SetSchema(s *device.Schema) error { return errNotBuilt }

// Run connects and stays connected until ctx ends.
func (c *Client) Run(ctx context.Context) error { return errNotBuilt }

// Drain waits until no frame is unacknowledged.
func (c *Client) Drain(ctx context.Context) error { return errNotBuilt }

// Stats returns the books.
func (c *Client) Stats() Stats { return Stats{} }

// Close closes the buffer. Run must have returned.
func (c *Client) Close() error { return nil }
