package socket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// server serves an upgrader on a free port.
type server struct {
	t     testing.TB
	addr  string
	conns chan *Conn
	ends  chan error // what Serve returned
}

// recorder is a handler that passes on what it gets.
type recorder struct {
	message func(binary bool, b []byte)
	conn    *Conn
}

func (r recorder) Message(binary bool, b []byte) { r.message(binary, b) }
func (r recorder) Ping(payload []byte)           { r.conn.Pong(payload) }
func (r recorder) Pong()                         {}

func newServer(t testing.TB, o Options, message func(c *Conn, binary bool, b []byte)) *server {
	t.Helper()
	began := time.Now()
	o.Protocol = "test.v1"
	o.Elapsed = func() time.Duration { return time.Since(began) }
	if o.WriteTimeout == 0 {
		o.WriteTimeout = patience
	}
	if o.MaxReceived == 0 {
		o.MaxReceived = 1000
	}
	s := &server{t: t, conns: make(chan *Conn, 100), ends: make(chan error, 100)}
	up := NewUpgrader(o)
	var running sync.WaitGroup
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Check(w, r, o.Protocol, true) {
			return
		}
		c, err := up.Upgrade(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		running.Go(func() {
			err := c.Serve(recorder{conn: c, message: func(binary bool, b []byte) { message(c, binary, b) }})
			c.HangUp(time.Second)
			s.ends <- err
		})
		s.conns <- c
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	srv := &http.Server{Handler: handler}
	running.Go(func() { _ = srv.Serve(ln) })
	t.Cleanup(func() {
		_ = srv.Close()
		running.Wait()
	})
	return s
}

// end is what Serve returned for the next connection that ended.
func (s *server) end() error {
	s.t.Helper()
	select {
	case err := <-s.ends:
		return err
	case <-time.After(patience):
		s.t.Fatal("the connection does not end")
		return nil
	}
}

// peer is a client that frames its messages itself.
type peer struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
}

// dial connects; more is sent together with the handshake.
func (s *server) dial(header string, more ...byte) (*peer, *http.Response) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + header + "\r\n"
	if _, err := conn.Write(append([]byte(request), more...)); err != nil {
		s.t.Fatal(err)
	}
	p := &peer{t: s.t, conn: conn, br: bufio.NewReader(conn)}
	res, err := http.ReadResponse(p.br, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return p, res
}

// frame is a masked frame; first is its first byte.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame.
func (p *peer) read() (first byte, payload []byte, err error) {
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(p.br, head); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	if extra := map[byte]int{126: 2, 127: 8}[head[1]]; extra > 0 {
		b := make([]byte, 8)
		if _, err := io.ReadFull(p.br, b[8-extra:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(b)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(p.br, payload)
	return head[0], payload, err
}

// closed expects a Close frame.
func (p *peer) closed(code device.CloseCode, reason string) {
	p.t.Helper()
	first, payload, err := p.read()
	if err != nil || first != 0x88 || len(payload) < 2 || device.CloseCode(binary.BigEndian.Uint16(payload)) != code || string(payload[2:]) != reason {
		p.t.Fatalf("got %#x %q, %v; expected Close %d %q", first, payload, err, code, reason)
	}
}

func echo(c *Conn, binary bool, b []byte) { _ = c.Send(binary, b) }

func TestSubprotocolMayBeLeftOut(t *testing.T) {
	s := newServer(t, Options{}, echo)
	for header, want := range map[string]string{
		"Sec-WebSocket-Protocol: other, test.v1\r\n": "test.v1",
		"": "",
		"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: test.v1\r\n": "test.v1",
	} {
		p, res := s.dial(header)
		if got := res.Header.Values("Sec-WebSocket-Protocol"); res.StatusCode != 101 || strings.Join(got, "|") != want {
			t.Errorf("%q: %v %q", header, res.Status, got)
		}
		p.write(frame(0x81, []byte("hello")))
		if first, b, err := p.read(); first != 0x81 || string(b) != "hello" {
			t.Errorf("%#x %q %v", first, b, err)
		}
	}
	if _, res := s.dial("Sec-WebSocket-Protocol: other\r\n"); res.StatusCode != 400 || res.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Errorf("only unknown protocols: %v %v", res.Status, res.Header)
	}
}

func TestWhatCameWithTheHandshakeIsKept(t *testing.T) {
	s := newServer(t, Options{}, echo)
	p, _ := s.dial("", frame(0x82, []byte("early"))...)
	if first, b, err := p.read(); first != 0x82 || string(b) != "early" {
		t.Errorf("%#x %q %v", first, b, err)
	}
}

func TestReasonsOfTheEnd(t *testing.T) {
	flood := append(frame(0x02, nil), bytes.Repeat(frame(0x00, nil), 5000)...)
	for name, c := range map[string]struct {
		send   []byte
		code   device.CloseCode
		reason string
		end    func(error) bool
	}{
		"unknown opcode":    {frame(0x83, nil), 1002, "broken WebSocket frame: opcode 3 is unknown", isBroken(1002)},
		"too long":          {frame(0x82, make([]byte, 1001)), 1009, "a message may have at most 1000 bytes", isBroken(1009)},
		"not UTF-8":         {frame(0x81, []byte("\xff")), 1007, "a text message must be UTF-8", isBroken(1007)},
		"endless fragments": {flood, 1008, "too many fragments", isBroken(1008)},
		"handler panics": {frame(0x81, []byte("panic")), 1011, "the hub failed", func(err error) bool {
			p, ok := errors.AsType[*Panic](err)
			return ok && p.Value == "asked to" && bytes.Contains(p.Stack, []byte("TestReasonsOfTheEnd"))
		}},
		"closed by the peer": {frame(0x88, append([]byte{0x0f, 0xa1}, "bye"...)), 4001, "", func(err error) bool {
			closed, ok := errors.AsType[*Closed](err)
			return ok && *closed == Closed{4001, "bye"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{UTF8: true}, func(c *Conn, _ bool, b []byte) {
				if string(b) == "panic" {
					panic("asked to")
				}
			})
			p, _ := s.dial("")
			p.write(c.send)
			p.closed(c.code, c.reason)
			_ = p.conn.(*net.TCPConn).CloseWrite()
			if err := s.end(); !c.end(err) {
				t.Errorf("ended with %T %v", err, err)
			}
			if _, err := io.ReadAll(p.br); err != nil {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func isBroken(code device.CloseCode) func(error) bool {
	return func(err error) bool {
		broken, ok := errors.AsType[*Broken](err)
		return ok && broken.Code == code
	}
}

func TestNothingIsSentAfterClose(t *testing.T) {
	s := newServer(t, Options{}, func(c *Conn, _ bool, b []byte) {
		c.Close(4000, strings.Repeat("ä", 100))
		c.Close(4001, "again")
		_ = c.Send(false, []byte("more"))
	})
	p, _ := s.dial("")
	p.write(frame(0x81, []byte("x")))
	p.closed(4000, strings.Repeat("ä", 61))
	p.write(frame(0x81, []byte("y"))) // heard out, not reset
	p.write(frame(0x88, []byte{0x0f, 0xa0}))
	if rest, err := io.ReadAll(p.br); len(rest) > 0 || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	_ = s.end()
}

// A peer that reads slowly gets a long message whole, even if that takes longer than the write timeout.
func TestSlowPeerGetsALongMessage(t *testing.T) {
	const size = 6 << 20 // more than the kernel holds
	s := newServer(t, Options{WriteTimeout: 2 * time.Second}, func(c *Conn, _ bool, b []byte) {
		_ = c.Send(true, make([]byte, size/2), make([]byte, size/2))
	})
	p, _ := s.dial("")
	_ = p.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	p.write(frame(0x81, []byte("x")))
	began := time.Now()
	got, pause := 0, time.NewTicker(40*time.Millisecond)
	defer pause.Stop()
	b := make([]byte, 64<<10)
	for got < size {
		<-pause.C
		n, err := io.ReadAtLeast(p.br, b, 1)
		if err != nil {
			t.Fatalf("after %d bytes and %v: %v", got, time.Since(began), err)
		}
		got += n
	}
	p.write(frame(0x88, nil))
	if err := s.end(); errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestPeerThatDoesNotReadIsCut(t *testing.T) {
	s := newServer(t, Options{WriteTimeout: 100 * time.Millisecond}, func(c *Conn, _ bool, b []byte) {
		for c.Send(true, make([]byte, 1<<20)) == nil {
		}
	})
	p, _ := s.dial("")
	p.write(frame(0x81, []byte("x")))
	_ = s.end()
	if c := <-s.conns; !c.Slow() {
		t.Error("not called slow")
	}
}

func TestCutEndsServe(t *testing.T) {
	s := newServer(t, Options{}, echo)
	_, _ = s.dial("")
	c := <-s.conns
	for c.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Cut()
	if err := s.end(); err == nil {
		t.Error("no error")
	}
	if c.Waiting() != 0 || c.Heard() != 0 {
		t.Errorf("waiting %v, heard %v", c.Waiting(), c.Heard())
	}
}
