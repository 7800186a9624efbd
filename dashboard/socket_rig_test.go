package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// liveRig is a hub with its dashboard on a free port.
type liveRig struct {
	*Dashboard
	t       testing.TB
	addr    string
	logged  *lockedBuffer
	key     string // API key of a viewer
	devices map[string]*ingestDevice
	stop    func() // ends the dashboard and the hub, and waits
}

// rigOptions change what a rig is made of.
type rigOptions struct {
	pace    func(*livePace)
	viewers viewerLimits
	tick    time.Duration
	clock   func() time.Time
}

func newLiveRig(t testing.TB, o rigOptions, ids ...string) *liveRig {
	t.Helper()
	r := &liveRig{t: t, logged: &lockedBuffer{}, devices: map[string]*ingestDevice{}}
	log := slog.New(slog.NewTextHandler(r.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.tick == 0 {
		o.tick = 20 * time.Millisecond
	}
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Now: o.clock})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certificate.Open(certificate.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := st.Devices.Add([]devices.NewDevice{{ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	feed := live.New(live.Config{Store: st, Logger: log, Tick: o.tick, Version: "v1"})
	h := hub.New(hub.Config{Store: st, Feed: feed, Logger: log,
		Other: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.Handler().ServeHTTP(w, req) })})
	if r.Dashboard, err = New(Config{Store: st, Hub: h, Feed: feed, Certificate: cert, Version: "v1", Logger: log, Now: o.clock}); err != nil {
		t.Fatal(err)
	}
	if o.pace != nil {
		o.pace(&r.livePace)
		r.upgrader = newLiveUpgrader(r.livePace, r.elapsed)
	}
	if o.viewers != (viewerLimits{}) {
		r.viewers = newViewers(o.viewers)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()

	tasks := make(chan error, 4)
	run := func(f func(context.Context) error) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- f(ctx) }()
		return func() {
			cancel()
			select {
			case tasks <- <-ended:
			case <-time.After(patience):
				t.Error("it does not end")
			}
		}
	}
	stopStore := run(st.Run)
	stopFeed := run(feed.Run)
	stopHub := run(func(ctx context.Context) error { return h.Run(ctx, ln, cert.TLSConfig()) })
	stopDashboard := run(r.Run)
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			stopDashboard()
			stopHub()
		}
	}
	t.Cleanup(func() {
		r.stop()
		stopFeed()
		stopStore()
		for range 4 {
			if err := <-tasks; err != nil {
				t.Error(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.key, err = st.Accounts.AddAPIKey("reader", accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		in := st.Ledger.Ingest(id, 1, func() {})
		in.Schema(device.AppendControl(nil, rigSchema), rigSchema)
		r.devices[id] = &ingestDevice{in: in}
		asked := time.Time{}
		eventually(t, id+" is known", func() bool {
			if time.Since(asked) > time.Second { // the feed may not have begun to follow
				asked = time.Now()
				r.read(id, -1)
			}
			d, _ := feed.Device(id)
			return d.Schema != nil && len(d.Device.Values) > 0
		})
	}
	return r
}

// ingestDevice is a device whose frames go straight into the store.
type ingestDevice struct {
	in  *ledger.Ingest
	seq uint64
}

var rigSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 1000}}}

// read makes a device send a reading of now, in hundredths of a degree.
func (r *liveRig) read(id string, value int64) {
	r.t.Helper()
	d := r.devices[id]
	d.seq++
	data := &device.Data{Seq: d.seq, Times: []int64{r.now().UnixMicro()},
		Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{uint64(value)}}}}
	b, err := device.AppendData(nil, data, rigSchema)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := d.in.Frame(context.Background(), b, data, tail.Timing{}); err != nil {
		r.t.Fatal(err)
	}
}

// upgrade is a correct handshake; more lines are added.
func (r *liveRig) upgrade(more ...string) []string {
	return append([]string{
		"GET /v1/live HTTP/1.1", "Host: " + r.addr, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, more...)
}

// offering is a handshake that offers a subprotocol and shows the API key.
func (r *liveRig) offering() []string {
	return r.upgrade("Sec-WebSocket-Protocol: v12.stomp", "Authorization: Bearer "+r.key)
}

// ask sends a request and returns the answer and the connection.
func (r *liveRig) ask(lines ...string) (*http.Response, *stompClient) {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.NetConn().Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	c := &stompClient{t: r.t, conn: conn, br: bufio.NewReader(conn),
		parser: stomp.NewParser(stomp.Limits{Headers: 100, Line: 1 << 16, Body: 16 << 20})}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, c
}

// dial opens a WebSocket.
func (r *liveRig) dial(lines ...string) *stompClient {
	r.t.Helper()
	res, c := r.ask(lines...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(res.Body)
		r.t.Fatalf("%s: %s", res.Status, b)
	}
	return c
}

// connect opens a STOMP connection of a viewer.
func (r *liveRig) connect() *stompClient {
	r.t.Helper()
	c := r.dial(r.offering()...)
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.expect(stomp.Connected)
	return c
}

// stompClient is a client that makes its frames itself.
type stompClient struct {
	t      testing.TB
	conn   *tls.Conn
	br     *bufio.Reader
	parser *stomp.Parser
	rest   []byte // received, and not parsed yet
	beats  int    // heart-beats received
	closes []byte // payload of the Close frame
}

func wsFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (c *stompClient) write(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// send sends a text message.
func (c *stompClient) send(text string) {
	c.t.Helper()
	c.write(wsFrame(0x81, []byte(text)))
}

// sendf sends a frame without body, each header a line.
func (c *stompClient) frame(command string, headers ...string) {
	c.t.Helper()
	c.send(command + "\n" + strings.Join(append(headers, "", "\x00"), "\n"))
}

// receive reads one WebSocket frame into rest, or closes. It returns false at the end of the connection.
func (c *stompClient) receive() bool {
	c.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.br, head); err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			c.t.Fatalf("nothing came")
		}
		return false
	}
	n := uint64(head[1])
	if extra := map[byte]int{126: 2, 127: 8}[head[1]]; extra > 0 {
		b := make([]byte, 8)
		if _, err := io.ReadFull(c.br, b[8-extra:]); err != nil {
			return false
		}
		n = binary.BigEndian.Uint64(b)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.br, payload); err != nil {
		return false
	}
	switch head[0] {
	case 0x81:
		if string(payload) == "\n" {
			c.beats++
		}
		c.rest = append(c.rest, payload...)
	case 0x88:
		c.closes = payload
		_, _ = c.conn.Write(wsFrame(0x88, payload[:min(2, len(payload))])) // the hub may have closed already
	case 0x8a:
	default:
		c.t.Fatalf("WebSocket frame %#x", head[0])
	}
	return true
}

// next returns the next STOMP frame, nil if the connection is closed before.
func (c *stompClient) next() *stomp.Frame {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		f, rest, err := c.parser.Next(c.rest)
		if err != nil {
			c.t.Fatalf("from the hub: %v in %q", err, c.rest)
		}
		c.rest = rest
		if f != nil {
			return f
		}
		c.rest = nil
		if c.closes != nil || !c.receive() {
			return nil
		}
	}
}

// expect returns the next frame with the command; MESSAGEs in between are passed over.
func (c *stompClient) expect(command string) *stomp.Frame {
	c.t.Helper()
	for {
		f := c.next()
		switch {
		case f == nil:
			c.t.Fatalf("closed with %q instead of %s", c.closes, command)
		case f.Command == command:
			return f
		case f.Command != stomp.Message:
			c.t.Fatalf("%s %q %q instead of %s", f.Command, f.Headers, f.Body, command)
		}
	}
}

// receipt asks with a harmless frame whether the connection lives, and that everything before was taken.
func (c *stompClient) receipt() {
	c.t.Helper()
	c.frame("BEGIN", "transaction:alive", "receipt:alive")
	if f := c.expect(stomp.Receipt); f.Headers.Value("receipt-id") != "alive" {
		c.t.Fatalf("%v", f)
	}
	c.frame("ABORT", "transaction:alive")
}

// message returns the next MESSAGE of a subscription, and its body.
func (c *stompClient) message(id string) (stomp.Headers, map[string]any) {
	c.t.Helper()
	for {
		f := c.expect(stomp.Message)
		if f.Headers.Value("subscription") != id {
			continue
		}
		var body map[string]any
		if err := json.Unmarshal(f.Body, &body); err != nil {
			c.t.Fatalf("%v: %q", err, f.Body)
		}
		return f.Headers, body
	}
}

// until passes over MESSAGEs of a subscription up to one that meets a condition.
func (c *stompClient) until(id, what string, condition func(body map[string]any) bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if _, body := c.message(id); condition(body) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("never: %s", what)
		}
	}
}

// closed waits for the Close frame, with nothing but MESSAGEs and heart-beats before it, and for the end after it.
func (c *stompClient) closed(code device.CloseCode) string {
	c.t.Helper()
	for {
		f := c.next()
		if f == nil {
			break
		}
		if f.Command != stomp.Message {
			c.t.Fatalf("%s %q before Close", f.Command, f.Headers)
		}
	}
	if len(c.closes) < 2 || device.CloseCode(binary.BigEndian.Uint16(c.closes)) != code {
		c.t.Fatalf("closed with %q, expected %d", c.closes, code)
	}
	for c.receive() {
	}
	return string(c.closes[2:])
}

// fails waits for ERROR, whose message contains text, and for the end.
func (c *stompClient) fails(code device.CloseCode, text, receipt string) *stomp.Frame {
	c.t.Helper()
	f := c.expect(stomp.Error)
	id, has := f.Headers.Get("receipt-id")
	if !strings.Contains(f.Headers.Value("message"), text) || id != receipt || has != (receipt != "") {
		c.t.Fatalf("ERROR %q %q, expected %q with receipt-id %q", f.Headers, f.Body, text, receipt)
	}
	if !bytes.Contains(f.Body, []byte(f.Headers.Value("message"))) || f.Headers.Value("content-type") != "text/plain" {
		c.t.Errorf("ERROR with the headers %q, body %q", f.Headers, f.Body)
	}
	c.closed(code)
	return f
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// watching is how many viewers are connected.
func (r *liveRig) watching() int { return len(r.viewers.present()) }

// taken is how many places are taken, which may be by a viewer who is not connected yet.
func (r *liveRig) taken() int {
	r.viewers.mu.Lock()
	defer r.viewers.mu.Unlock()
	return r.viewers.counts[false] + r.viewers.counts[true]
}

func subscribeFrame(id, destination string, more ...string) string {
	return fmt.Sprintf("SUBSCRIBE\nid:%s\ndestination:%s\n%s\n\x00", id, destination, strings.Join(append(more, ""), "\n"))
}
