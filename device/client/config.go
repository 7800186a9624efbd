package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Config says who the device is, where its hub is and how it keeps what it cannot send.
type Config struct {
	URL   string      // of the hub: wss://HOST[:PORT]; without a path, device.Path is meant
	Token string      // proves who the device is
	TLS   *tls.Config // trusted roots and the like; nil: those of the system. It is cloned

	Schema   *device.Schema // what the device measures and what it can be told; not to be changed afterwards
	Firmware string         // version, for people; at most device.MaxText bytes
	Model    string         // hardware, for people; at most device.MaxText bytes

	Clock device.Clock     // what Data.Times count from
	Boot  uint64           // boot counter, with device.ClockBoot
	Now   func() time.Time // the device's clock; nil: time.Now. With device.ClockBoot it is needed: time.UnixMicro(µs since boot)

	// BufferPath is the file that keeps unacknowledged frames across a restart of the device; empty: memory only. The frames are
	// held in memory too. A second file, BufferPath.lock, keeps other processes away.
	BufferPath string

	// BufferBytes bounds what is buffered, counting every frame's message and 64 bytes; 0: 1 MiB, with BufferPath 16 MiB. The file
	// takes at most twice as much, and up to 600 kB for the results of commands; while it is made anew there are two.
	BufferBytes int

	BacklogRate int           // frames a second sent behind live data after a break; 0: 50
	AckDelay    time.Duration // how long the hub may gather acknowledgements; 0: one for each of its commits

	// OnCommand carries out a command, one at a time; nil: every command is rejected. ID is filled in by the client. Run does not
	// return before OnCommand has, so it should heed ctx. The client answers by itself commands that the schema does not have, that
	// it has seen before and that are expired.
	OnCommand func(ctx context.Context, cmd device.Command) device.Result

	// OnSet sets a writable channel, one at a time with the commands; nil: none can be set. value is of the channel's type: bool,
	// int64, float64 or string, and float64 for a channel with a scale. A value that the channel can never have is
	// device.ResultRejected. The device sends a reading of the channel soon after it is set.
	OnSet func(ctx context.Context, channel device.Channel, value any) device.Result

	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // TCP; nil: a net.Dialer
	Logger *slog.Logger                                                      // nil: silent
	Trace  *Trace                                                            // nil: none
	Faults *Faults                                                           // nil: none
}

// Trace lets a program watch what becomes of each frame. The functions are called while the client holds its lock: they must be
// quick and must not call the client. Any of them may be nil.
type Trace struct {
	Sent    func(seq uint64, bytes int) // a frame is about to be written to the connection, for the first time or again
	Settled func(r device.Ranges)       // the hub says it has these: stored, rejected or known as lost; they may repeat
	Lost    func(first, last uint64)    // the hub is about to be told that these frames are gone; they may repeat
}

// complete returns a trace that has every function.
func (t *Trace) complete() *Trace {
	full := Trace{Sent: func(uint64, int) {}, Settled: func(device.Ranges) {}, Lost: func(uint64, uint64) {}}
	if t == nil {
		return &full
	}
	if t.Sent != nil {
		full.Sent = t.Sent
	}
	if t.Settled != nil {
		full.Settled = t.Settled
	}
	if t.Lost != nil {
		full.Lost = t.Lost
	}
	return &full
}

// Faults makes a device misbehave on purpose, for tests of a hub. Any of the functions may be nil.
type Faults struct {
	Duplicate func(seq uint64) bool // send this frame twice
	Cut       func(seq uint64) bool // cut the TCP connection after sending this frame

	Answers func(cmd *device.Command) int // how often the result of a command is sent each time
}

// Stats are the books of a client. Created = Acked + Rejected + Lost + Unacked at every moment; frames found in the buffer
// file count as created by this client.
type Stats struct {
	Stream   uint64 // name of the buffer
	Created  uint64 // frames given a sequence number
	Acked    uint64 // frames the hub has stored
	Rejected uint64 // frames the hub will never store
	Lost     uint64 // frames overwritten, or damaged in the buffer file
	Unacked  uint64 // frames in the buffer

	Sent     uint64 // transmissions of frames, repeated ones too
	Connects uint64 // connections on which the hub said WELCOME

	Connected bool   // the hub has said WELCOME and the connection stands
	LastError string // what went wrong last: a connection, or the buffer file; empty if nothing ever has
}

const (
	defaultMemoryBytes = 1 << 20
	defaultDiskBytes   = 16 << 20
	defaultBacklogRate = 50
	maxAckDelay        = time.Hour
)

// complete fills in what was left to default, checks the rest and returns the URL to connect to.
func (c *Config) complete() (*url.URL, error) {
	if c.Now == nil {
		if c.Clock == device.ClockBoot {
			return nil, errors.New("a clock that counts from boot needs Now")
		}
		c.Now = time.Now
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = defaultMemoryBytes
		if c.BufferPath != "" {
			c.BufferBytes = defaultDiskBytes
		}
	}
	if c.BacklogRate == 0 {
		c.BacklogRate = defaultBacklogRate
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Trace = c.Trace.complete()
	switch {
	case c.Token == "":
		return nil, errors.New("no token")
	case c.Schema == nil:
		return nil, errors.New("no schema")
	case c.BufferBytes < 0 || c.BacklogRate < 0:
		return nil, errors.New("BufferBytes and BacklogRate must not be negative")
	case c.AckDelay < 0 || c.AckDelay > maxAckDelay:
		return nil, fmt.Errorf("AckDelay must be from 0 to %v", maxAckDelay)
	}
	if err := c.Schema.Validate(); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if err := c.hello(1).Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL of the form wss://HOST:PORT", c.URL)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = device.Path
	}
	return u, nil
}

// hello is HELLO for an empty buffer.
func (c *Config) hello(stream uint64) *device.Hello {
	h := &device.Hello{
		Stream: stream, Now: c.Now().UnixMicro(), Clock: c.Clock, Oldest: 1, Next: 1,
		AckDelay: uint32(c.AckDelay.Milliseconds()), Firmware: c.Firmware, Model: c.Model,
	}
	if c.Clock == device.ClockBoot {
		h.Boot = c.Boot
	}
	return h
}

// tlsConfig is the caller's with what a WebSocket client needs.
func tlsConfig(given *tls.Config, u *url.URL) *tls.Config {
	t := new(tls.Config)
	if given != nil {
		t = given.Clone()
	}
	if t.ServerName == "" {
		t.ServerName = u.Hostname()
	}
	if len(t.NextProtos) == 0 {
		t.NextProtos = []string{"http/1.1"}
	}
	return t
}
