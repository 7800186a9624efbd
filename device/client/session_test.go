package client

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestHelloSaysWhatTheBufferHolds(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cfg.Firmware, cfg.Model = "1.2.3", "box"
	c, stop := h.startDevice(cfg)
	hc := h.accept()
	stop()
	<-hc.closed

	want := &device.Hello{
		Stream: c.Stats().Stream, Now: hc.hello.Now, SchemaHash: encodeSchema(testSchema).hash,
		Oldest: 1, Next: 1, Firmware: "1.2.3", Model: "box",
	}
	if diff := cmp.Diff(want, hc.hello); diff != "" {
		t.Error(diff)
	}
	if want.Stream == 0 {
		t.Error("stream 0")
	}
}

func TestSchemaIsSentOnlyWhenTheHubNeedsIt(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	sendValues(t, c, 7)

	hc := h.accept()
	hc.welcome(nil, func(w *device.Welcome) { w.NeedSchema = true })
	if s := expect[*device.Schema](hc); len(s.Channels) != 1 {
		t.Errorf("got %+v", s)
	}
	hc.expectFrames(1)
	hc.cut()

	hc = h.accept()
	hc.welcome(nil)
	hc.expectFrames(1)
}

func TestReconnectSendsOnlyWhatIsMissing(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3, 4, 5, 6)
	hc.expectFrames(6)
	hc.ack(device.Range{First: 2, Last: 3})
	until(t, "two frames are acked", func() bool { return c.Stats().Acked == 2 })
	hc.cut()

	hc = h.accept()
	if hc.hello.Oldest != 1 || hc.hello.Next != 7 {
		t.Errorf("HELLO has oldest %d, next %d", hc.hello.Oldest, hc.hello.Next)
	}
	hc.welcome(device.Ranges{{First: 1, Last: 3}, {First: 5, Last: 5}})
	if got := hc.expectFrames(2); !slices.Equal(got, []uint64{4, 6}) {
		t.Errorf("sent %v", got)
	}
	hc.expectNothing()
	if s := checkBooks(t, c); s.Acked != 4 || s.Unacked != 2 {
		t.Errorf("%+v", s)
	}
	hc.ack(device.Range{First: 4, Last: 6})
	if err := c.Drain(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestWindowsAreKept(t *testing.T) {
	for name, limit := range map[string]func(*device.Welcome){
		"frames": func(w *device.Welcome) { w.WindowFrames = 3 },
		"bytes":  func(w *device.Welcome) { w.WindowBytes = uint32(3*len(message(t, 1)) + 2) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			c, _ := h.startDevice(h.config())
			hc := h.accept()
			hc.welcome(nil, limit)
			until(t, "connected", func() bool { return c.Stats().Connected })
			sendValues(t, c, 1, 2, 3, 4, 5, 6, 7, 8)
			hc.expectFrames(3)
			hc.expectNothing()
			hc.ack(device.Range{First: 2, Last: 3})
			if got := hc.expectFrames(2); !slices.Equal(got, []uint64{4, 5}) {
				t.Errorf("sent %v", got)
			}
			hc.expectNothing()
		})
	}
}

// message is what Send makes of a value for sequence number 1.
func message(t *testing.T, v int64) []byte {
	t.Helper()
	d := oneValue(v)
	d.Seq = 1
	b, err := device.AppendData(nil, d, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResend(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3, 4, 5)
	hc.expectFrames(5)
	hc.ack(device.Range{First: 2, Last: 3})
	until(t, "two frames are acked", func() bool { return c.Stats().Acked == 2 })

	hc.send(&device.Resend{Ranges: device.Ranges{{First: 1, Last: 4}, {First: 9, Last: 1 << 40}}})
	if l := expect[*device.Lost](hc); l.First != 2 || l.Last != 3 {
		t.Errorf("LOST %+v", l)
	}
	if got := hc.expectFrames(2); !slices.Equal(got, []uint64{1, 4}) {
		t.Errorf("sent %v", got)
	}
	hc.expectNothing()
	if s := checkBooks(t, c); s.Lost != 0 || s.Sent != 7 {
		t.Errorf("%+v", s)
	}
}

func TestReject(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	hc.welcome(nil)
	if _, err := c.SendEncoded(func(dst []byte, seq uint64) []byte { return append(dst, 0x03, byte(seq), 0xff) }); err != nil {
		t.Fatal(err)
	}
	sendValues(t, c, 2)
	hc.expectFrames(2)
	hc.send(&device.Reject{Seq: 0, Code: device.RejectMalformed}) // of which frame nobody knows
	hc.send(&device.Reject{Seq: 1, Code: device.RejectMalformed, Text: "flags"})
	until(t, "rejected", func() bool { return c.Stats().Rejected == 1 })
	hc.cut()

	hc = h.accept()
	hc.welcome(nil)
	if got := hc.expectFrames(1); got[0] != 2 {
		t.Errorf("sent %v", got)
	}
	hc.expectNothing()
	checkBooks(t, c)
}

func TestSendEncodedRefusesAnotherNumber(t *testing.T) {
	c, err := New(Config{URL: "wss://hub", Token: "x", Schema: testSchema})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "type": {0x05, 1}, "no number": {0x03}, "number": {0x03, 2, 0}, "a longer number": {0x03, 0x81, 0},
		"too large": append([]byte{0x03, 1}, make([]byte, device.MaxMessage)...),
	} {
		if _, err := c.SendEncoded(func(dst []byte, _ uint64) []byte { return append(dst, b...) }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if s := c.Stats(); s.Created != 0 {
		t.Errorf("%+v", s)
	}
	if seq, err := c.Send(oneValue(1)); seq != 1 || err != nil {
		t.Errorf("%d, %v", seq, err)
	}
}

func TestFaults(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cut := true
	cfg.Faults = &Faults{
		Duplicate: func(seq uint64) bool { return seq == 2 },
		Cut:       func(seq uint64) bool { was := cut && seq == 3; cut = cut && !was; return was },
	}
	c, _ := h.startDevice(cfg)
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3, 4)
	if got := hc.expectFrames(4); !slices.Equal(got, []uint64{1, 2, 2, 3}) {
		t.Errorf("sent %v", got)
	}
	<-hc.closed
	hc = h.accept()
	hc.welcome(device.Ranges{{First: 1, Last: 3}})
	if got := hc.expectFrames(1); got[0] != 4 {
		t.Errorf("sent %v", got)
	}
}

// A frame with the highest bit of its length set makes gws panic.
func TestCrashFrameDoesNotCrash(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	hc.welcome(nil)
	crash := []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1}
	if _, err := hc.raw.Write(crash); err != nil {
		t.Fatal(err)
	}
	<-hc.closed
	hc = h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1)
	hc.expectFrames(1)
}

func TestWhatTheHubMustNotSend(t *testing.T) {
	welcome := device.AppendControl(nil, &device.Welcome{Device: "d", WindowFrames: 1, WindowBytes: 1, Idle: 1000, FrameRate: 1})
	for name, send := range map[string]func(hc *hubConn){
		"text":                  func(hc *hubConn) { _ = hc.conn.WriteString("hello") },
		"malformed":             func(hc *hubConn) { _ = hc.conn.WriteMessage(gws.OpcodeBinary, []byte{byte(device.TypeAck), 0xff}) },
		"empty":                 func(hc *hubConn) { _ = hc.conn.WriteMessage(gws.OpcodeBinary, nil) },
		"too long":              func(hc *hubConn) { _ = hc.conn.WriteMessage(gws.OpcodeBinary, make([]byte, device.MaxMessage+1)) },
		"RESEND before WELCOME": func(hc *hubConn) { hc.send(&device.Resend{Ranges: device.Ranges{{First: 1, Last: 1}}}) },
		"a message of a device": func(hc *hubConn) { hc.send(&device.Lost{First: 1, Last: 1, Reason: device.LostCorrupted}) },
		"WELCOME for the second": func(hc *hubConn) {
			_ = hc.conn.WriteMessage(gws.OpcodeBinary, welcome)
			_ = hc.conn.WriteMessage(gws.OpcodeBinary, welcome)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			c, _ := h.startDevice(h.config())
			hc := h.accept()
			send(hc)
			<-hc.closed
			h.accept() // it comes back
			if c.Stats().LastError == "" {
				t.Error("no error")
			}
		})
	}
}

func TestUnknownMessagesAreIgnored(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	_ = hc.conn.WriteMessage(gws.OpcodeBinary, []byte{0xf0, 0xff})
	hc.welcome(nil)
	sendValues(t, c, 1)
	hc.expectFrames(1)
}

// GOAWAY counts even when the connection has ended before the loop looked at it.
func TestGoAwayIsTheLastWord(t *testing.T) {
	s := newSession(newTestClient(1<<20), false)
	s.readErr = &gws.CloseError{Code: uint16(device.CloseGoingAway)}
	s.inbox <- &device.Resend{}
	s.inbox <- &device.GoAway{MinMS: 1}
	close(s.ended)
	var goAway goAwayError
	if err := s.lastWord(); !errors.As(err, &goAway) {
		t.Error(err)
	}
	if err := s.lastWord(); err != s.readErr {
		t.Error(err)
	}
}
