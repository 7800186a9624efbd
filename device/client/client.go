// Package client is the reference device of telemetry.v1: it keeps a connection to a hub, buffers what the hub has not
// acknowledged, sends it again after a break, and carries out commands.
//
// A program makes a Client with New, lets Run work in a goroutine and hands readings to Send.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Client is one device. Its methods may be called from several goroutines.
type Client struct {
	// static
	cfg  Config
	url  *url.URL
	tls  *tls.Config
	log  *slog.Logger
	wake chan struct{} // capacity 1: the session has something to look at
	disk *diskBuffer   // nil: the buffer is in memory only

	running atomic.Bool
	tasks   sync.WaitGroup // what Run has started

	mu       sync.Mutex // guards the rest; never held while something is written to the network or the disk
	closed   bool
	schema   *schemaRecord // of new frames
	scratch  []byte        // for encoding
	buf      buffer
	commands commands
	durable  uint64          // with a disk buffer: records of buf.log that are on disk
	synced   chan struct{}   // closed and replaced when durable has grown
	drained  []chan struct{} // closed when buf is empty: who waits in Drain
	starved  bool            // the session waits for acknowledgements
	stats    Stats           // what buf does not count
}

var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("client: closed")
	// ErrRunning is returned by Run and Close while Run is active.
	ErrRunning = errors.New("client: Run is active")
)

// New makes a device and opens its buffer. It does not connect: see Run. A buffer file whose header is damaged is renamed to
// BufferPath.damaged, and the device starts a new stream.
func New(cfg Config) (*Client, error) {
	u, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{
		cfg:    cfg,
		url:    u,
		tls:    tlsConfig(cfg.TLS, u),
		log:    cfg.Logger,
		wake:   make(chan struct{}, 1),
		synced: make(chan struct{}),
		schema: encodeSchema(cfg.Schema),
		buf:    buffer{stream: newStream(), next: 1, fresh: 1, limit: cfg.BufferBytes},
	}
	if cfg.BufferPath == "" {
		return c, nil
	}
	disk, setAside, err := openDiskBuffer(cfg.BufferPath, c.restore)
	if err != nil {
		return nil, fmt.Errorf("client: buffer file: %w", err)
	}
	if setAside != "" {
		c.log.Error("the buffer file is damaged at its start; the device begins a new stream", "set_aside", setAside)
	}
	c.disk = disk
	c.buf.log = &recordLog{limit: cfg.BufferBytes, wake: make(chan struct{}, 1)}
	if err := c.flush(); err != nil {
		disk.close()
		return nil, fmt.Errorf("client: buffer file: %w", err)
	}
	return c, nil
}

// newStream is a random name for the life of a buffer.
func newStream() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails
		if s := binary.LittleEndian.Uint64(b[:]); s != 0 {
			return s
		}
	}
}

func encodeSchema(s *device.Schema) *schemaRecord {
	return newSchemaRecord(s, device.AppendControl(nil, s))
}

func newSchemaRecord(s *device.Schema, message []byte) *schemaRecord {
	return &schemaRecord{schema: s, message: message, hash: device.HashSchema(message)}
}

// Send gives d the next sequence number, fills in Seq, Clock and Boot, and buffers it. It does not wait for the network or
// the disk; when the buffer is full the oldest frame makes room and is declared lost to the hub. d may be used again at once.
//
// The error is a *device.DataError if d does not follow the schema, ErrFrameTooLarge or ErrClosed; no number is used up then.
func (c *Client) Send(d *device.Data) (seq uint64, err error) {
	return c.send(func(dst []byte, seq uint64) ([]byte, error) {
		d.Seq, d.Clock, d.Boot = seq, c.cfg.Clock, 0
		if d.Clock == device.ClockBoot {
			d.Boot = c.cfg.Boot
		}
		return device.AppendData(dst, d, c.schema.schema)
	})
}

// SendEncoded is Send for a message that the caller encodes: encode appends a DATA message with sequence number seq to dst. It
// must begin with the type and that number; the rest is for the hub to judge. encode must not call the client.
func (c *Client) SendEncoded(encode func(dst []byte, seq uint64) []byte) (seq uint64, err error) {
	return c.send(func(dst []byte, seq uint64) ([]byte, error) {
		out := encode(dst, seq)
		if len(out) == 0 || device.Type(out[0]) != device.TypeData {
			return dst, errors.New("client: not a DATA message")
		}
		if !bytes.HasPrefix(out[1:], binary.AppendUvarint(nil, seq)) { // in its shortest form: the hub reads no other
			return dst, fmt.Errorf("client: the message has not sequence number %d", seq)
		}
		return out, nil
	})
}

func (c *Client) send(encode func(dst []byte, seq uint64) ([]byte, error)) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	seq := c.buf.next
	message, err := encode(c.scratch[:0], seq)
	c.scratch = message[:0]
	if err != nil {
		return 0, err
	}
	if err := c.buf.add(append([]byte(nil), message...), c.schema); err != nil {
		return 0, err
	}
	if c.disk == nil {
		notify(c.wake) // with a disk buffer, flush does
	}
	return seq, nil
}

// SetSchema replaces the schema; later frames follow it. Frames in the buffer keep theirs.
func (c *Client) SetSchema(s *device.Schema) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("client: schema: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := encodeSchema(s); r.hash != c.schema.hash {
		c.schema = r
		notify(c.wake)
	}
	return nil
}

// Drain waits until the hub has acknowledged everything: all frames, and that those overwritten are lost. The error is that of
// ctx.
func (c *Client) Drain(ctx context.Context) error {
	c.mu.Lock()
	if c.buf.empty() {
		c.mu.Unlock()
		return nil
	}
	drained := make(chan struct{})
	c.drained = append(c.drained, drained)
	c.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats returns the books.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, b := c.stats, &c.buf
	s.Stream, s.Created, s.Acked, s.Rejected, s.Lost = b.stream, b.created, b.acked, b.rejected, b.lostCount
	s.Unacked = uint64(b.held)
	return s
}

// noteError logs an error and keeps it for Stats.
func (c *Client) noteError(what string, err error) {
	c.log.Warn(what, "error", err)
	c.mu.Lock()
	c.stats.LastError = what + ": " + err.Error()
	c.mu.Unlock()
}

// Close writes what the buffer file still lacks and closes it. Run must have returned.
func (c *Client) Close() error {
	if c.running.Load() {
		return ErrRunning
	}
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed || c.disk == nil {
		return nil
	}
	err := c.flush()
	c.disk.close()
	if err != nil {
		return fmt.Errorf("client: buffer file: %w", err)
	}
	return nil
}
