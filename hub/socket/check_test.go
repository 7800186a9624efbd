package socket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// closing is a Close frame of a client.
func closing(code uint16, reason string) []byte {
	return frame(0x88, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

func TestFramesThatAreRefused(t *testing.T) {
	mask := []byte{1, 2, 3, 4}
	with := func(head ...byte) []byte { return append(append(head, mask...), bytes.Repeat([]byte{7}, 300)...) }
	type refused struct {
		send []byte
		code device.CloseCode
	}
	cases := map[string]refused{
		"length 5 in 16 bits":             {with(0x82, 0xfe, 0, 5), 1002},
		"length 125 in 16 bits":           {with(0x82, 0xfe, 0, 125), 1002},
		"length 5 in 64 bits":             {with(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5), 1002},
		"length 65535 in 64 bits":         {with(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 1002},
		"length with its highest bit":     {with(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5), 1002},
		"length of 4 GiB and 5":           {with(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 5), 1009},
		"length of 2 GiB":                 {with(0x82, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0), 1009},
		"one byte too long":               {with(0x82, 0xfe, 1001>>8, 1001&0xff), 1009},
		"fragments too long together":     {append(frame(0x02, make([]byte, 600)), frame(0x80, make([]byte, 600))...), 1009},
		"no mask":                         {[]byte{0x82, 5, 1, 2, 3, 4, 5}, 1002},
		"long ping":                       {with(0x89, 0xfe, 0, 126), 1002},
		"ping in pieces":                  {frame(0x09, nil), 1002},
		"fragment of nothing":             {frame(0x80, []byte("x")), 1002},
		"fragment after a message":        {append(frame(0x82, nil), frame(0x00, nil)...), 1002},
		"message between fragments":       {append(frame(0x02, nil), frame(0x82, nil)...), 1002},
		"half a close code":               {frame(0x88, []byte{3}), 1002},
		"close reason is not UTF-8":       {closing(1000, "\xff"), 1007},
		"close reason ends in a letter":   {closing(4000, "\xe2\x82"), 1007},
		"text is not UTF-8":               {frame(0x81, []byte("a\xc0\xaf")), 1007},
		"text ends in a letter":           {frame(0x81, []byte("\xf0\x9f\x98")), 1007},
		"fragments end in a letter":       {append(frame(0x01, []byte("\xf0\x9f")), frame(0x80, []byte("\x98"))...), 1007},
		"surrogates":                      {frame(0x81, []byte("\xed\xa0\x80")), 1007},
		"bad text, whose rest is to come": {frame(0x81, append([]byte("\xff"), make([]byte, 200)...))[:20], 1007},
		"bad text in a first fragment":    {frame(0x01, []byte("\xce\xba\xf4\x90")), 1007},
		"bad text in an open fragment":    {frame(0x01, append([]byte("\xf4\x90"), make([]byte, 900)...))[:15], 1007},
	}
	for bit := byte(0x10); bit <= 0x40; bit <<= 1 {
		cases[fmt.Sprintf("reserved bit %#x", bit)] = refused{frame(0x82|bit, nil), 1002}
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases[fmt.Sprintf("opcode %d", opcode)] = refused{frame(0x80|opcode, nil), 1002}
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases[fmt.Sprintf("close code %d", code)] = refused{closing(code, ""), 1002}
	}
	s := newServer(t, Options{UTF8: true}, echo)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p, _ := s.dial("")
			p.write(c.send) // and nothing more: what is wrong is noticed now
			for {
				first, payload, err := p.read()
				if err != nil {
					t.Fatal(err)
				}
				if first == 0x82 { // what came before
					continue
				}
				if first != 0x88 || device.CloseCode(binary.BigEndian.Uint16(payload)) != c.code || !utf8.Valid(payload[2:]) || len(payload) < 10 {
					t.Fatalf("got %#x %q, expected Close %d", first, payload, c.code)
				}
				break
			}
			_ = p.conn.(*net.TCPConn).CloseWrite()
			if err := s.end(); !isBroken(c.code)(err) {
				t.Errorf("ended with %T %v", err, err)
			}
		})
	}
}

// A close reason must be UTF-8 on every connection, also where text messages need not be (RFC 6455 §5.5.1).
func TestCloseIsAnsweredWithItsCode(t *testing.T) {
	s := newServer(t, Options{}, echo)
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4001, 4999} {
		p, _ := s.dial("")
		p.write(closing(code, "bye ü"))
		p.closed(device.CloseCode(code), "")
		if closed, ok := errors.AsType[*Closed](s.end()); !ok || *closed != (Closed{device.CloseCode(code), "bye ü"}) {
			t.Errorf("%d: ended with %v", code, closed)
		}
	}
	p, _ := s.dial("")
	p.write(frame(0x88, nil))
	if first, payload, err := p.read(); first != 0x88 || len(payload) != 0 || err != nil {
		t.Errorf("no code: %#x %q %v", first, payload, err)
	}
	_ = s.end()
	p, _ = s.dial("")
	p.write(closing(1000, "\xff"))
	p.closed(1007, "the reason for closing must be UTF-8")
	_ = p.conn.(*net.TCPConn).CloseWrite()
	_ = s.end()
}

func TestFragmentsWithControlsBetween(t *testing.T) {
	s := newServer(t, Options{UTF8: true}, echo)
	text := strings.Repeat("grün €😀 ", 50)
	for _, size := range []int{1, 2, 3, 7, 600} {
		p, _ := s.dial("")
		for at := 0; at < len(text); at += size {
			first := byte(0)
			if at == 0 {
				first = opText
			}
			if at+size >= len(text) {
				first |= 0x80
			}
			p.write(frame(first, []byte(text[at:min(at+size, len(text))])))
			p.write(frame(0x89, []byte("ping")))
			if first, b, err := p.read(); first != 0x8a || string(b) != "ping" || err != nil {
				if at+size < len(text) {
					t.Fatalf("%#x %q %v", first, b, err)
				}
				if string(b) != text {
					t.Fatalf("%q", b)
				}
			}
		}
		p.write(frame(0x88, nil))
		_ = s.end()
	}
}

func TestCloseBodyFitsAControlFrame(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", 200), strings.Repeat("ü", 100), "bad\xff"} {
		b := closeBody(device.CloseBadState, text)
		if len(b) > 125 || b[0] != 0x0f || b[1] != 0xa0 || !utf8.Valid(b[2:]) || len(text) > 125 && len(b) < 124 {
			t.Errorf("%q: %q", text, b)
		}
	}
}

// stream is a connection whose input comes in parts of a size, and whose output goes nowhere.
type stream struct {
	net.Conn
	input []byte
	part  int
}

func (s *stream) Read(b []byte) (int, error) {
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.input[:min(len(s.input), s.part)])
	s.input = s.input[n:]
	return n, nil
}

func (s *stream) Write(b []byte) (int, error)      { return len(b), nil }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
func (s *stream) Close() error                     { return nil }

// connected is a connection with this stream below.
func connected(t testing.TB, u *Upgrader, s *stream) *Conn {
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		r.Header.Set(name, value)
	}
	c, err := u.connect(s, nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// log is a handler that writes down what happens.
type log []string

func (l *log) Message(binary bool, b []byte) { *l = append(*l, fmt.Sprintf("%t %x", binary, b)) }
func (l *log) Ping(b []byte)                 { *l = append(*l, fmt.Sprintf("ping %x", b)) }
func (l *log) Pong()                         { *l = append(*l, "pong") }

// received is what a connection makes of an input.
func received(t testing.TB, u *Upgrader, input []byte, part int) (log, error) {
	c := connected(t, u, &stream{input: input, part: part})
	var l log
	err := c.Serve(&l)
	return l, err
}

// Whatever comes, it does not matter how it is cut, memory is bounded by what has come, and the text that is handed over is UTF-8.
func FuzzServe(f *testing.F) {
	f.Add(append(frame(0x81, []byte("text")), closing(1000, "bye")...), uint8(3))
	f.Add(append(frame(0x01, []byte("\xe2\x82")), append(frame(0x89, []byte("p")), frame(0x80, []byte("\xac"))...)...), uint8(1))
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4}, uint8(2))
	f.Add(frame(0x82, make([]byte, 900)), uint8(100))
	u := NewUpgrader(Options{MaxReceived: 1000, UTF8: true, WriteTimeout: time.Hour, Elapsed: func() time.Duration { return 1 }})
	f.Fuzz(func(t *testing.T, input []byte, part uint8) {
		whole, wholeErr := received(t, u, bytes.Clone(input), len(input)+1)
		parts, partsErr := received(t, u, bytes.Clone(input), int(part)+1)
		if !reflect.DeepEqual(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Errorf("whole: %v, %v\nin parts of %d: %v, %v", whole, wholeErr, part+1, parts, partsErr)
		}
		for _, event := range whole {
			var b []byte
			if _, err := fmt.Sscanf(event, "false %x", &b); err == nil && !utf8.Valid(b) {
				t.Errorf("text that is not UTF-8: %x", b)
			}
		}
		if p, ok := errors.AsType[*Panic](wholeErr); ok {
			t.Errorf("%v\n%s", p.Value, p.Stack)
		}
	})
}

// What a frame costs is counted: there are thousands a second. gws makes a value for each message, and nothing is added to
// that; a pool under the race detector forgets some of its buffers.
func TestMemoryOfAFrame(t *testing.T) {
	u := NewUpgrader(Options{MaxReceived: 1000, WriteTimeout: time.Hour, Elapsed: func() time.Duration { return 1 }})
	const frames = 1000
	input := bytes.Repeat(frame(0x82, make([]byte, 60)), frames)
	var h counted
	perRun := testing.AllocsPerRun(5, func() {
		h.conn = connected(t, u, &stream{input: bytes.Clone(input), part: 1400})
		_ = h.conn.Serve(&h)
	})
	if h.n != 6*frames || perRun > 2*frames {
		t.Errorf("%d frames, %v allocations for %d", h.n, perRun, frames)
	}
}

type counted struct {
	conn *Conn
	n    int
}

func (c *counted) Message(bool, []byte) { c.n++ }
func (c *counted) Ping([]byte)          {}
func (c *counted) Pong()                {}
