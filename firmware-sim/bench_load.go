package firmwaresim

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"
	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	loadConnectRate = 500              // connections a second
	loadDials       = 16               // at a time
	loadTimeout     = 20 * time.Second // of a dial, and from HELLO to WELCOME
	loadInFlight    = 256              // frames of a connection: what a hub grants by default
)

// loadSchema makes a frame of one sample about 64 bytes long.
func loadSchema() *device.Schema {
	s := &device.Schema{}
	for i := range 8 {
		c := device.Channel{ID: uint16(i), Name: fmt.Sprintf("channel%d", i), Type: device.Float32, Unit: "1"}
		if i < 3 {
			c.Type = device.Float64
		}
		s.Channels = append(s.Channels, c)
	}
	return s
}

// load is many connections that send frames and take acks, and do nothing else that a device does: what sends has to cost
// less than what receives. Frames that may be sent at the same moment go out in one write.
type load struct {
	// static
	target  Target
	schema  *device.Schema
	message []byte // SCHEMA
	window  int    // frames in flight of each connection; 0: they are sent at a rate
	conns   []*loadConn

	sending atomic.Bool
	frames  atomic.Uint64 // sent
	acked   atomic.Uint64
	bytes   atomic.Uint64 // of the DATA messages sent
	ack     histogram     // from a frame's transmission to its ACK
	failed  chan error    // capacity 1: why a connection can't go on
}

// loadConn is one connection of a load. gws calls its methods in one goroutine.
type loadConn struct {
	gws.BuiltinEventHandler
	load    *load
	conn    *gws.Conn
	wire    *corkedConn
	welcome chan struct{} // closed when frames may be sent

	mu      sync.Mutex
	frame   *device.Data
	message []byte
	sent    [loadInFlight]time.Time // by number
}

// corkedConn gathers what is written until it is flushed.
type corkedConn struct {
	net.Conn
	corked  bool
	pending []byte
}

func (c *corkedConn) Write(b []byte) (int, error) {
	if !c.corked {
		return c.Conn.Write(b)
	}
	c.pending = append(c.pending, b...)
	return len(b), nil
}

func (c *corkedConn) flush() error {
	_, err := c.Conn.Write(c.pending)
	c.pending = c.pending[:0]
	return err
}

// dialLoad connects one device for each credential.
func dialLoad(ctx context.Context, target Target, credentials []Credential, window int) (*load, error) {
	l := &load{target: target, schema: loadSchema(), window: window, conns: make([]*loadConn, len(credentials)), failed: make(chan error, 1)}
	l.message = device.AppendControl(nil, l.schema)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loadDials)
	for i, credential := range credentials {
		if !sleep(ctx, time.Second/loadConnectRate) {
			break
		}
		g.Go(func() error {
			c, err := l.dial(ctx, credential.Token)
			if err != nil {
				return fmt.Errorf("device %s: %w", credential.Device, err)
			}
			l.conns[i] = c
			return nil
		})
	}
	if err := errors.Join(g.Wait(), context.Cause(ctx)); err != nil && !errors.Is(err, context.Canceled) {
		l.close()
		return nil, err
	}
	return l, nil
}

// dial connects and greets the hub.
func (l *load) dial(ctx context.Context, token string) (*loadConn, error) {
	u, err := url.Parse(l.target.URL)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: loadTimeout}, Config: l.target.TLS}
	secure, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	c := &loadConn{load: l, wire: &corkedConn{Conn: secure}, welcome: make(chan struct{}), frame: newFrame(l.schema, 1)}
	c.conn, _, err = gws.NewClientFromConn(c, &gws.ClientOption{
		Addr: l.target.URL + device.Path, ReadBufferSize: 512, ReadMaxPayloadSize: device.MaxMessage, ParallelGolimit: 1,
		NewSession:    func() gws.SessionStorage { return nil },
		RequestHeader: http.Header{"Authorization": {"Bearer " + token}, "Sec-Websocket-Protocol": {device.Subprotocol}},
	}, c.wire)
	if err != nil {
		_ = secure.Close()
		return nil, err
	}
	c.wire.corked = true
	go c.conn.ReadLoop()
	var stream [8]byte
	_, _ = rand.Read(stream[:]) // never fails
	hello := &device.Hello{
		Stream: binary.BigEndian.Uint64(stream[:]) | 1, Now: time.Now().UnixMicro(), SchemaHash: device.HashSchema(l.message),
		Oldest: 1, Next: 1, Firmware: "firmware-sim", Model: "load",
	}
	if err := c.write(device.AppendControl(nil, hello)); err != nil {
		return nil, err
	}
	select {
	case <-c.welcome:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-time.After(loadTimeout):
		return nil, errors.New("the hub does not say WELCOME")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write sends one message.
func (c *loadConn) write(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.conn.WriteMessage(gws.OpcodeBinary, message), c.wire.flush())
}

// send sends n frames in one write.
func (c *loadConn) send(n int, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, bytes := time.Now(), 0
	for range n {
		d := c.frame
		d.Seq++
		d.Times[0] = max(at.UnixMicro(), d.Times[0]+1) // frames of one write are 1 µs apart
		for i := range d.Columns {
			d.Columns[i].Bits[0] = math.Float64bits(float64(20 + float32((d.Seq+uint64(i))%100)/10))
		}
		var err error
		if c.message, err = device.AppendData(c.message[:0], d, c.load.schema); err != nil {
			return err
		}
		if err := c.conn.WriteMessage(gws.OpcodeBinary, c.message); err != nil {
			return err
		}
		c.sent[d.Seq%loadInFlight] = now
		bytes += len(c.message)
	}
	c.load.frames.Add(uint64(n))
	c.load.bytes.Add(uint64(bytes))
	return c.wire.flush()
}

// OnMessage takes what the hub says.
func (c *loadConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	message, err := device.ParseControl(m.Bytes())
	if err != nil {
		c.fail(err)
		return
	}
	switch message := message.(type) {
	case *device.Welcome:
		if message.NeedSchema {
			c.fail(c.write(c.load.message))
		}
		close(c.welcome)
	case *device.Ack:
		n := c.settled(message.Ranges)
		if c.load.window > 0 && c.load.sending.Load() {
			c.fail(c.send(n, time.Now()))
		}
	default:
		c.fail(fmt.Errorf("the hub says %v", message.Type()))
	}
}

// settled takes an ACK, and returns how many frames it is for.
func (c *loadConn) settled(ranges device.Ranges) int {
	now, n := time.Now(), 0
	c.mu.Lock()
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last; seq++ {
			c.load.ack.add(now.Sub(c.sent[seq%loadInFlight]))
			n++
		}
	}
	c.mu.Unlock()
	c.load.acked.Add(uint64(n))
	return n
}

// OnClose is never in order while a load runs.
func (c *loadConn) OnClose(_ *gws.Conn, err error) {
	c.fail(fmt.Errorf("a connection ended: %w", err))
}

// fail ends the load, unless err is nil.
func (c *loadConn) fail(err error) {
	if err != nil {
		select {
		case c.load.failed <- err:
		default:
		}
	}
}

// begin fills the windows, if there are any. Acks do the rest.
func (l *load) begin() error {
	l.sending.Store(true)
	for _, c := range l.conns {
		if l.window > 0 {
			if err := c.send(l.window, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// run sends for d; rate is in frames a second and connection, unless there are windows.
func (l *load) run(ctx context.Context, d time.Duration, rate float64) error {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	if err := l.begin(); err != nil {
		return err
	}
	defer l.sending.Store(false)
	if l.window == 0 {
		turns := make([]func(time.Time) error, len(l.conns))
		for i, c := range l.conns {
			turns[i] = func(at time.Time) error { return c.send(1, at) }
		}
		return newSchedule(rate, turns).run(ctx)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.failed:
		return err
	}
}

// settle waits until every frame is acknowledged.
func (l *load) settle(ctx context.Context) error {
	for deadline := time.Now().Add(drainTime); l.acked.Load() < l.frames.Load(); {
		select {
		case err := <-l.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d frames are not acknowledged after %v", l.frames.Load()-l.acked.Load(), drainTime)
		}
	}
	return nil
}

// close ends the connections.
func (l *load) close() {
	for _, c := range l.conns {
		if c != nil {
			_ = c.wire.Close()
		}
	}
}
