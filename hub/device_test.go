package hub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// rig is a hub on a free port with a store in a temporary folder.
type rig struct {
	t      testing.TB
	store  *store.Store
	hub    *Hub
	feed   *live.Feed // nil without rigOptions.live
	log    *testLog
	addr   string
	root   string // certificate file
	tls    *tls.Config
	tokens map[string]string
	stop   func() // stops the hub and waits; the store goes on
}

// rigOptions change what a rig is made of.
type rigOptions struct {
	limits Limits
	pace   func(*pace)
	live   bool         // with a feed
	other  http.Handler // for what is not for devices
	now    func() time.Time
	clock  *wallclock.Clock // of the store; nil: the system's
}

func newRig(t testing.TB, o rigOptions, devices ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Clock: o.clock})
	if err != nil {
		t.Fatal(err)
	}
	storeCtx, stopStore := context.WithCancel(context.Background())
	stored := make(chan error, 1)
	go func() { stored <- st.Run(storeCtx) }()

	cert, err := certificate.Open(certificate.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &testLog{out: t.Output()}
	var feed *live.Feed
	feeding := make(chan error, 1)
	feedCtx, stopFeed := context.WithCancel(context.Background())
	if o.live {
		feed = live.New(live.Config{Store: st, Tick: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		go func() { feeding <- feed.Run(feedCtx) }()
	} else {
		feeding <- nil
	}
	h := New(Config{Store: st, Limits: o.limits, Now: o.now, Feed: feed, Other: o.other, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if o.pace != nil {
		o.pace(&h.pace)
	}
	hubCtx, stopHub := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Run(hubCtx, ln, cert.TLSConfig()) }()

	r := &rig{t: t, store: st, hub: h, feed: feed, log: log, addr: ln.Addr().String(), tokens: map[string]string{},
		root: cert.Info().TrustFile, tls: clientTLS(t, cert.Info().TrustFile)}
	r.stop = func() {
		stopHub()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
			served <- nil
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	}
	t.Cleanup(func() {
		r.stop()
		for _, token := range r.tokens {
			if log.contains(token) {
				t.Error("a token is in the log")
			}
		}
		stopFeed()
		if err := <-feeding; err != nil {
			t.Errorf("feed: %v", err)
		}
		stopStore()
		if err := <-stored; err != nil {
			t.Errorf("store: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	for _, id := range devices {
		r.add(id)
	}
	return r
}

// testLog keeps what is logged.
type testLog struct {
	mu   sync.Mutex
	out  io.Writer
	text []byte
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return l.out.Write(b)
}

func (l *testLog) contains(s string) bool { return l.count(s) > 0 }

func (l *testLog) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text, []byte(s))
}

// endings is how many sessions have ended with a code.
func (r *rig) endings(code device.CloseCode) int {
	return r.log.count(fmt.Sprintf(" code=%d ", code))
}

// clientTLS is the configuration of a client that trusts the certificate in a file.
func clientTLS(t testing.TB, path string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// add registers a device.
func (r *rig) add(id string) {
	r.t.Helper()
	c, err := r.store.Devices.Add([]devices.NewDevice{{ID: id}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.tokens[id] = c[0].Token
}

// dialTLS connects without saying anything.
func (r *rig) dialTLS() net.Conn {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.addr, r.tls)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.NetConn().Close() })
	return conn
}

// get sends a request of the given lines and returns the answer with its body; the hub must close the connection then.
func (r *rig) get(lines ...string) (*http.Response, string) {
	r.t.Helper()
	conn := r.dialTLS()
	res, br := r.ask(conn, lines...)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = br.ReadByte()
	if ne, ok := err.(net.Error); err == nil || ok && ne.Timeout() {
		r.t.Errorf("%s: the connection stays open", res.Status)
	}
	return res, string(body)
}

// ask sends a request and returns the answer, and a reader of what follows its header.
func (r *rig) ask(conn net.Conn, lines ...string) (*http.Response, *bufio.Reader) {
	r.t.Helper()
	return r.exchange(conn, lines, nil)
}

// exchange is ask with more bytes sent behind the request.
func (r *rig) exchange(conn net.Conn, lines []string, more []byte) (*http.Response, *bufio.Reader) {
	r.t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := append([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), more...)
	if _, err := conn.Write(request); err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	method, _, _ := strings.Cut(lines[0], " ")
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	return res, br
}

// upgradeLines are a correct handshake of a device.
func (r *rig) upgradeLines(token string) []string {
	return []string{
		"GET " + device.Path + " HTTP/1.1", "Host: " + r.addr, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: " + device.Subprotocol, "Authorization: Bearer " + token,
	}
}

// testDevice is a device that frames its messages itself, so that it can do anything wrong.
type testDevice struct {
	t    testing.TB
	id   string
	conn net.Conn
	br   *bufio.Reader
}

// connect connects a registered device.
func (r *rig) connect(id string) *testDevice {
	r.t.Helper()
	conn := r.dialTLS()
	res, br := r.ask(conn, r.upgradeLines(r.tokens[id])...)
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		res.Header.Get("Sec-WebSocket-Protocol") != device.Subprotocol {
		body, _ := io.ReadAll(res.Body)
		r.t.Fatalf("handshake of %s: %v %v %s", id, res.Status, res.Header, body)
	}
	return &testDevice{t: r.t, id: id, conn: conn, br: br}
}

// testSchema has one channel of each type.
var testSchema = &device.Schema{Channels: []device.Channel{
	{ID: 1, Name: "on", Type: device.Bool},
	{ID: 2, Name: "temperature", Type: device.Int, Unit: "Cel", Scale: -2},
	{ID: 3, Name: "level", Type: device.Float32},
	{ID: 4, Name: "mass", Type: device.Float64},
	{ID: 5, Name: "state", Type: device.String},
}}

var testSchemaMessage = device.AppendControl(nil, testSchema)

// helloNow is a HELLO of a healthy device.
func helloNow() *device.Hello {
	return &device.Hello{
		Stream: 7, Now: time.Now().UnixMicro(), SchemaHash: device.HashSchema(testSchemaMessage), Oldest: 1, Next: 1,
	}
}

// join connects a device and goes through HELLO and SCHEMA.
func (r *rig) join(id string) *testDevice {
	r.t.Helper()
	d := r.connect(id)
	d.greet(helloNow())
	return d
}

// greet sends HELLO and, if it is asked for, SCHEMA.
func (d *testDevice) greet(h *device.Hello) *device.Welcome {
	d.t.Helper()
	d.control(h)
	w := expect[*device.Welcome](d)
	if w.NeedSchema {
		d.write(2, testSchemaMessage)
	}
	return w
}

// write sends one frame, masked as a client must.
func (d *testDevice) write(opcode byte, payload []byte) {
	d.t.Helper()
	if _, err := d.conn.Write(clientFrame(opcode, payload)); err != nil {
		d.t.Fatalf("%s: write: %v", d.id, err)
	}
}

func clientFrame(opcode byte, payload []byte) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

func (d *testDevice) control(m device.Message) {
	d.t.Helper()
	d.write(2, device.AppendControl(nil, m))
}

// frame is a DATA message of one sample.
func frame(t testing.TB, seq uint64, at time.Time) []byte {
	t.Helper()
	b, err := device.AppendData(nil, &device.Data{Seq: seq, Times: []int64{at.UnixMicro()},
		Columns: []device.Column{{ID: 2, Type: device.Int, Bits: []uint64{2134}}}}, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// data sends one DATA message of one sample for each sequence number.
func (d *testDevice) data(seqs ...uint64) {
	d.t.Helper()
	for _, seq := range seqs {
		d.write(2, frame(d.t, seq, time.Now()))
	}
}

// read returns the next frame from the hub.
func (d *testDevice) read() (opcode byte, payload []byte, err error) {
	_ = d.conn.SetReadDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err = io.ReadFull(d.br, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if n == 126 {
		var b [2]byte
		if _, err = io.ReadFull(d.br, b[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(b[:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(d.br, payload)
	return head[0] & 15, payload, err
}

// expect returns the next message of a type; ACKs, which come when they come, are passed over.
func expect[M device.Message](d *testDevice) M {
	d.t.Helper()
	for {
		opcode, payload, err := d.read()
		if err != nil || opcode != 2 {
			d.t.Fatalf("%s: expected %T, got opcode %d %q, error %v", d.id, *new(M), opcode, payload, err)
		}
		m, err := device.ParseControl(payload)
		if err != nil {
			d.t.Fatal(err)
		}
		if want, ok := m.(M); ok {
			return want
		}
		if _, ack := m.(*device.Ack); !ack {
			d.t.Fatalf("%s: expected %T, got %#v", d.id, *new(M), m)
		}
	}
}

// acked waits until all of these are acknowledged, and fails if anything else is.
func (d *testDevice) acked(seqs ...uint64) {
	d.t.Helper()
	var got device.SeqSet
	for got.Count() < uint64(len(seqs)) {
		for _, r := range expect[*device.Ack](d).Ranges {
			got.AddRange(r.First, r.Last)
		}
	}
	for _, seq := range seqs {
		if !got.Contains(seq) {
			d.t.Fatalf("%s: acknowledged %v instead of %v", d.id, got.Ranges(), seqs)
		}
	}
}

// closed reads up to the Close frame, answers it, and checks its code, and that its text is one of ours.
func (d *testDevice) closed(code device.CloseCode) string {
	d.t.Helper()
	for {
		opcode, payload, err := d.read()
		if err != nil {
			d.t.Fatalf("%s: expected Close %d: %v", d.id, code, err)
		}
		if opcode != 8 {
			continue
		}
		got, text := device.CloseCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
		if got != code || bytes.Contains(payload, []byte("gws")) || bytes.Contains(payload, []byte("tcp")) {
			d.t.Fatalf("%s: closed with %d %q, expected %d", d.id, got, text, code)
		}
		_, _ = d.conn.Write(clientFrame(8, payload[:2])) // the hub may have closed already
		return text
	}
}

// gone waits until the hub has ended the connection without a Close frame.
func (d *testDevice) gone() {
	d.t.Helper()
	for {
		opcode, payload, err := d.read()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				d.t.Fatalf("%s: still connected", d.id)
			}
			return
		}
		if opcode == 8 {
			d.t.Fatalf("%s: unexpected Close %q", d.id, payload)
		}
	}
}

// alive checks that the device's connection works in both directions, up to the disk.
func (d *testDevice) alive(seq uint64) {
	d.t.Helper()
	d.data(seq)
	d.acked(seq)
}

// alarm returns the text of the alarm that has all of these words, "" if there is none.
func (r *rig) alarm(words ...string) string {
next:
	for _, a := range r.store.Alarms.All() {
		for _, w := range words {
			if !strings.Contains(a.Text, w) {
				continue next
			}
		}
		return a.Text
	}
	return ""
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !await(condition) {
		t.Fatalf("never: %s", what)
	}
}

// await waits for a condition and reports whether it came.
func await(condition func() bool) bool {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
