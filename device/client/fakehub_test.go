package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lxzan/gws"
	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// fakeHub gives the answers that a real hub does not give on command.
type fakeHub struct {
	t        *testing.T
	server   *httptest.Server
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	accepted chan *hubConn
	refuse   func(w http.ResponseWriter, r *http.Request) bool // nil: every device is let in
}

// hubConn is the hub's end of one connection. The test reads what the device sends with next.
type hubConn struct {
	gws.BuiltinEventHandler
	t      *testing.T
	conn   *gws.Conn
	raw    net.Conn
	in     chan []byte
	closed chan struct{}
	hello  *device.Hello

	pings atomic.Int32
	mute  atomic.Bool // do not answer pings
	err   error       // to be read after closed
}

// newFakeHub listens on a port of the loopback interface.
func newFakeHub(t *testing.T) *fakeHub {
	h := &fakeHub{t: t, accepted: make(chan *hubConn, 16)}
	h.server = httptest.NewUnstartedServer(h)
	h.start()
	return h
}

// newPipeHub is reached through pipes in memory, so that it can live in a synctest bubble.
func newPipeHub(t *testing.T) *fakeHub {
	h := &fakeHub{t: t, accepted: make(chan *hubConn, 16)}
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	h.dial = l.dial
	h.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	h.start()
	return h
}

func (h *fakeHub) start() {
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.server.StartTLS()
	h.t.Cleanup(h.server.Close)
}

// pipeListener hands out in-memory connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	hc := &hubConn{t: h.t, in: make(chan []byte, 4096), closed: make(chan struct{})}
	upgrader := gws.NewUpgrader(hc, &gws.ServerOption{SubProtocols: []string{device.Subprotocol}})
	raw, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		h.t.Error(err)
		return
	}
	hc.raw = raw
	if hc.conn, err = upgrader.UpgradeFromConn(raw, rw.Reader, r); err != nil {
		return
	}
	h.t.Cleanup(func() { hc.cut(); <-hc.closed })
	h.accepted <- hc
	go hc.conn.ReadLoop()
}

func (hc *hubConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	hc.in <- slices.Clone(m.Bytes())
	_ = m.Close()
}

func (hc *hubConn) OnPing(conn *gws.Conn, payload []byte) {
	hc.pings.Add(1)
	if !hc.mute.Load() {
		_ = conn.WritePong(payload)
	}
}

func (hc *hubConn) OnClose(_ *gws.Conn, err error) {
	hc.err = err
	close(hc.closed)
}

// accept waits for a device and its HELLO.
func (h *fakeHub) accept() *hubConn {
	h.t.Helper()
	select {
	case hc := <-h.accepted:
		hc.hello = expect[*device.Hello](hc)
		return hc
	case <-time.After(patience):
		h.t.Fatal("no device has connected")
		return nil
	}
}

// visit lets the device connect once and go again.
func (h *fakeHub) visit() {
	h.t.Helper()
	hc := h.accept()
	hc.welcome(nil)
	synctest.Wait()
	hc.cut()
	synctest.Wait()
}

// next is the next message of the device.
func (hc *hubConn) next() []byte {
	hc.t.Helper()
	select {
	case b := <-hc.in:
		return b
	case <-hc.closed:
		select {
		case b := <-hc.in:
			return b
		default:
			hc.t.Fatalf("the device has gone: %v", hc.err)
		}
	case <-time.After(patience):
		hc.t.Fatal("the device says nothing")
	}
	return nil
}

// expect is the next message, which must be of the type.
func expect[M device.Message](hc *hubConn) M {
	hc.t.Helper()
	b := hc.next()
	m, err := device.ParseControl(b)
	if err != nil {
		hc.t.Fatalf("got % x: %v", b, err)
	}
	typed, ok := m.(M)
	if !ok {
		hc.t.Fatalf("got %#v", m)
	}
	return typed
}

// expectFrames is the sequence numbers of the next n messages, which must be DATA.
func (hc *hubConn) expectFrames(n int) (seqs []uint64) {
	hc.t.Helper()
	for range n {
		seqs = append(seqs, frameSeq(hc.t, hc.next()))
	}
	return seqs
}

func frameSeq(t *testing.T, b []byte) uint64 {
	t.Helper()
	if device.Type(b[0]) != device.TypeData {
		m, err := device.ParseControl(b)
		t.Fatalf("not DATA but %#v, %v", m, err)
	}
	seq, _ := binary.Uvarint(b[1:])
	return seq
}

// expectNothing makes sure that the device has sent nothing more. The ping that a device answers at once has overtaken nothing.
func (hc *hubConn) expectNothing() {
	hc.t.Helper()
	hc.settle()
	select {
	case b := <-hc.in:
		hc.t.Fatalf("unexpected message % x", b)
	default:
	}
}

// settle lets the device answer what it has been sent: a repeated RESULT comes after it.
func (hc *hubConn) settle() {
	hc.t.Helper()
	probe := &device.Command{ID: device.CommandID{0xff}, Name: "no such command", Deadline: 1 << 60, TTL: 1 << 30}
	hc.send(probe)
	for range 1000 {
		b := hc.next()
		if m, err := device.ParseControl(b); err == nil {
			if r, ok := m.(*device.Result); ok && r.ID == probe.ID {
				return
			}
		}
		hc.in <- b
	}
	hc.t.Fatal("the device does not answer a command")
}

// send sends a message; to a device that has gone, nothing.
func (hc *hubConn) send(m device.Message) {
	_ = hc.conn.WriteMessage(gws.OpcodeBinary, device.AppendControl(nil, m))
}

// welcome answers HELLO: generous, except for what change does.
func (hc *hubConn) welcome(received device.Ranges, change ...func(*device.Welcome)) {
	w := &device.Welcome{
		Device: "dev", Now: time.Now().UnixMicro(), Received: received,
		WindowFrames: 1000, WindowBytes: 1 << 20, Idle: 60_000, FrameRate: 100_000,
	}
	for _, f := range change {
		f(w)
	}
	hc.send(w)
}

func (hc *hubConn) ack(ranges ...device.Range) { hc.send(&device.Ack{Ranges: ranges}) }

// cut ends the TCP connection without a word.
func (hc *hubConn) cut() { hc.raw.(*tls.Conn).NetConn().Close() }

// closeWith closes the WebSocket.
func (hc *hubConn) closeWith(code device.CloseCode) {
	_ = hc.conn.WriteClose(uint16(code), []byte("test"))
}

var testSchema = &device.Schema{
	Channels: []device.Channel{{ID: 1, Name: "n", Type: device.Int}},
	Commands: []device.CommandSpec{{Name: "blink"}},
}

// config is one for a device of the hub.
func (h *fakeHub) config() Config {
	pool := h.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return Config{
		URL: "wss://" + h.server.Listener.Addr().String(), Token: "secret", Dial: h.dial,
		TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}, Schema: testSchema, BacklogRate: 10_000,
	}
}

// start makes a device and runs it until the test ends or stop is called.
func (h *fakeHub) startDevice(cfg Config) (c *Client, stop func()) {
	h.t.Helper()
	c, err := New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		if err := c.Close(); err != nil {
			h.t.Errorf("Close: %v", err)
		}
	})
	h.t.Cleanup(stop)
	return c, stop
}

// sendValues sends one frame for each value.
func sendValues(t *testing.T, c *Client, values ...int64) {
	t.Helper()
	for _, v := range values {
		if _, err := c.Send(oneValue(v)); err != nil {
			t.Fatal(err)
		}
	}
}

func oneValue(v int64) *device.Data {
	return &device.Data{
		Times:   []int64{1_700_000_000_000_000 + v},
		Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{uint64(v)}}},
	}
}

// value is what oneValue put into the message.
func value(t *testing.T, message []byte) int64 {
	t.Helper()
	var d device.Data
	if err := device.ParseData(message, testSchema, &d); err != nil {
		t.Fatal(err)
	}
	return int64(d.Columns[0].Bits[0])
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// checkBooks makes sure that created = acked + rejected + lost + unacked.
func checkBooks(t *testing.T, c *Client) Stats {
	t.Helper()
	s := c.Stats()
	if s.Created != s.Acked+s.Rejected+s.Lost+s.Unacked {
		t.Errorf("the books do not close: %+v", s)
	}
	return s
}

func seqRange(first, last uint64) (seqs []uint64) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}
