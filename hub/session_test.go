package hub

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestConversation(t *testing.T) {
	r := newRig(t, rigOptions{}, "boiler")
	d := r.connect("boiler")
	hello := helloNow()
	hello.Firmware, hello.Model = "1.2", "B"
	w := d.greet(hello)
	if w.Device != "boiler" || !w.NeedSchema || len(w.Received) != 0 || w.WindowFrames != 256 || w.WindowBytes != 64<<10 ||
		w.Idle != 60_000 || w.FrameRate != 500 || w.AckDelay != 0 || time.Since(time.UnixMicro(w.Now)).Abs() > time.Minute {
		t.Errorf("WELCOME %+v", w)
	}
	d.data(1, 2, 3)
	d.acked(1, 2, 3)
	d.data(2) // a duplicate is acknowledged too
	d.acked(2)
	if b := r.store.Ledger.Books("boiler"); b.Frames != 3 || b.Duplicates != 1 || b.Holes != 0 {
		t.Errorf("books %+v", b)
	}
	if dev, err := r.store.Devices.Get("boiler"); err != nil || dev.Firmware != "1.2" || dev.Model != "B" || dev.Schema != hello.SchemaHash {
		t.Errorf("device %+v, %v", dev, err)
	}

	// The same buffer on a new connection: the hub says what it has, and knows the schema.
	again := r.connect("boiler")
	hello.Next = 4
	w = again.greet(hello)
	if w.NeedSchema || len(w.Received) != 1 || w.Received[0] != (device.Range{First: 1, Last: 3}) {
		t.Errorf("WELCOME %+v", w)
	}
	again.alive(4)
}

func TestRejectedFrameLeavesTheConnection(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	broken := frame(t, 1, time.Now())
	d.write(2, broken[:len(broken)-1])
	if m := expect[*device.Reject](d); m.Seq != 1 || m.Code != device.RejectMalformed || m.Text == "" {
		t.Errorf("%+v", m)
	}
	d.acked(1) // settled
	d.write(2, []byte{byte(device.TypeData)})
	if m := expect[*device.Reject](d); m.Seq != 0 || m.Code != device.RejectMalformed {
		t.Errorf("%+v", m)
	}
	unknown, err := device.AppendData(nil, &device.Data{Seq: 2, Times: []int64{0}, Columns: []device.Column{{ID: 9, Type: device.Bool, Bits: []uint64{1}}}},
		&device.Schema{Channels: []device.Channel{{ID: 9, Name: "x", Type: device.Bool}}})
	if err != nil {
		t.Fatal(err)
	}
	d.write(2, unknown)
	if m := expect[*device.Reject](d); m.Seq != 2 || m.Code != device.RejectUnknownChannel {
		t.Errorf("%+v", m)
	}
	d.acked(2)
	d.alive(3)
	letters, err := r.store.Ledger.DeadLetters(0, 10)
	if err != nil || len(letters) != 3 || !bytes.Equal(letters[2].Message, unknown) {
		t.Errorf("dead letters %+v, %v", letters, err)
	}
	if b := r.store.Ledger.Books("a"); b.Frames != 1 || b.Rejected != 3 || b.Holes != 0 {
		t.Errorf("books %+v", b)
	}
}

// RFC 3339 cannot write the times of these readings.
func TestReadingsOutsideOfAllCalendarsAreRejected(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	for i, at := range []int64{device.MinTime - 1, device.MaxTime + 1, math.MinInt64, math.MaxInt64} {
		seq := uint64(i + 1)
		d.write(2, frame(t, seq, time.UnixMicro(at)))
		if m := expect[*device.Reject](d); m.Seq != seq || m.Code != device.RejectBadValue {
			t.Errorf("%d: %+v", at, m)
		}
		d.acked(seq)
	}
	d.write(2, frame(t, 5, time.UnixMicro(device.MinTime)))
	d.write(2, frame(t, 6, time.UnixMicro(device.MaxTime)))
	d.acked(5, 6)
}

func TestDataBeforeSchemaIsRejected(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.connect("a")
	d.control(helloNow())
	if w := expect[*device.Welcome](d); !w.NeedSchema {
		t.Fatal("the schema is known before anybody announced it")
	}
	d.data(1)
	if m := expect[*device.Reject](d); m.Seq != 1 || m.Code != device.RejectNoSchema {
		t.Errorf("%+v", m)
	}
	d.acked(1)
	d.write(2, testSchemaMessage)
	d.alive(2)
}

func TestSchemaChangesOnAnOpenConnection(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	d.alive(1)
	next := &device.Schema{Channels: []device.Channel{{ID: 9, Name: "new", Type: device.Bool}}}
	d.control(next)
	m, err := device.AppendData(nil, &device.Data{Seq: 2, Times: []int64{0}, Columns: []device.Column{{ID: 9, Type: device.Bool, Bits: []uint64{1}}}}, next)
	if err != nil {
		t.Fatal(err)
	}
	d.write(2, m)
	d.acked(2)
	d.data(3) // of the old schema
	if m := expect[*device.Reject](d); m.Seq != 3 || m.Code != device.RejectUnknownChannel {
		t.Errorf("%+v", m)
	}
	if s, ok := r.store.DeviceSchema("a"); !ok || s.Channels[0].Name != "new" {
		t.Errorf("schema %+v", s)
	}
}

func TestLostAndResult(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	d.control(&device.Lost{First: 1, Last: 5, Reason: device.LostOverwritten})
	d.acked(1, 2, 3, 4, 5)
	d.control(&device.Result{ID: [16]byte{1}, Status: device.ResultSucceeded}) // of no command: it is taken, and that is all
	d.alive(6)
	if b := r.store.Ledger.Books("a"); b.Lost != 5 || b.Frames != 1 || b.Holes != 0 {
		t.Errorf("books %+v", b)
	}
}

func TestPongEchoesThePayload(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	d.write(9, []byte("are you there"))
	if opcode, payload, err := d.read(); opcode != 10 || string(payload) != "are you there" || err != nil {
		t.Errorf("opcode %d, %q, %v", opcode, payload, err)
	}
}

func TestLazyAck(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{WindowFrames: 8}, pace: func(p *pace) { p.ackDelay = time.Hour }}, "a", "b")
	d := r.connect("a")
	hello := helloNow()
	hello.AckDelay = 4_000_000_000
	if w := d.greet(hello); w.AckDelay != 3_600_000 {
		t.Errorf("granted %d ms", w.AckDelay)
	}
	d.data(1)
	eventually(t, "on disk", func() bool { return r.hub.sessions.find("a").ingest.Load().Received(1).Count() == 1 })
	d.data(2, 3)
	eventually(t, "on disk", func() bool { return r.hub.sessions.find("a").ingest.Load().Received(1).Count() == 3 })
	d.data(4) // half of the window: it can't wait
	if acks := expect[*device.Ack](d).Ranges; acks.Count() != 4 {
		t.Errorf("first ACK %v", acks)
	}

	d = r.connect("b")
	hello.AckDelay = 10
	d.greet(hello)
	for seq := range uint64(3) {
		d.alive(seq + 1)
	}
}

func TestClosesForBrokenProtocolState(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ConnectsPerDevice: 1000}}, "a", "b")
	other := r.join("b")
	sayHello := func(d *testDevice) { d.control(helloNow()); expect[*device.Welcome](d) }
	for name, c := range map[string]struct {
		do   func(*testDevice)
		code device.CloseCode
	}{
		"DATA first":         {func(d *testDevice) { d.data(1) }, device.CloseBadState},
		"SCHEMA first":       {func(d *testDevice) { d.write(2, testSchemaMessage) }, device.CloseBadState},
		"two HELLOs":         {func(d *testDevice) { sayHello(d); d.control(helloNow()) }, device.CloseBadState},
		"broken HELLO":       {func(d *testDevice) { d.write(2, []byte{1, 0xff}) }, device.CloseBadState},
		"HELLO out of range": {func(d *testDevice) { h := helloNow(); h.Now, h.Clock = -1<<63, device.ClockBoot; d.control(h) }, device.CloseBadState},
		"unknown type":       {func(d *testDevice) { sayHello(d); d.write(2, []byte{0x44, 0xa0}) }, device.CloseBadState},
		"hub's type":         {func(d *testDevice) { sayHello(d); d.control(&device.Ack{}) }, device.CloseBadState},
		"empty":              {func(d *testDevice) { d.write(2, nil) }, device.CloseBadState},
		"text":               {func(d *testDevice) { sayHello(d); d.write(1, []byte("hi")) }, device.CloseUnsupportedData},
		"broken SCHEMA":      {func(d *testDevice) { sayHello(d); d.write(2, []byte{2, 0xff}) }, device.CloseBadSchema},
		"too long":           {func(d *testDevice) { d.write(2, make([]byte, 4<<20)) }, device.CloseTooBig},
		"reserved bit":       {func(d *testDevice) { _, _ = d.conn.Write([]byte{0xc2, 0x80, 0, 0, 0, 0}) }, device.CloseProtocolError},
		"not masked":         {func(d *testDevice) { _, _ = d.conn.Write([]byte{0x82, 1, 1}) }, device.CloseProtocolError},
		"other SCHEMA": {func(d *testDevice) {
			h := helloNow()
			h.SchemaHash[0]++
			d.control(h)
			expect[*device.Welcome](d)
			d.write(2, testSchemaMessage)
		}, device.CloseBadSchema},
	} {
		d := r.connect("a")
		c.do(d)
		if text := d.closed(c.code); text == "" {
			t.Errorf("%s: no text", name)
		}
	}
	other.alive(1)
}

func TestTooManyHoles(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{FramesPerSecond: 1e6, FrameBurst: 1e6}}, "a")
	d := r.join("a")
	go func() { // what was stored before comes as ACKs meanwhile
		for seq := uint64(1); seq < 2*(device.MaxSparseRanges+2); seq += 2 {
			if _, err := d.conn.Write(clientFrame(2, frame(t, seq, time.Now()))); err != nil {
				return
			}
		}
	}()
	d.closed(device.CloseTooSparse)
}

func TestPresence(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	if p := r.hub.Presence("a"); p != (Presence{}) || r.hub.Connected() != 0 {
		t.Errorf("before: %+v", p)
	}
	before := time.Now()
	d := r.connect("a")
	hello := helloNow()
	hello.Now -= time.Hour.Microseconds()
	d.greet(hello)
	p := r.hub.Presence("a")
	if !p.Connected || p.Since.Before(before) || p.LastSeen.Before(before) || !p.LastData.IsZero() || p.Address != d.conn.LocalAddr().String() ||
		(p.ClockSkew+time.Hour).Abs() > time.Minute || r.hub.Connected() != 1 {
		t.Errorf("connected: %+v", p)
	}
	d.alive(1)
	withData := r.hub.Presence("a")
	if withData.LastData.Before(before) || withData.LastSeen.Before(withData.LastData.Add(-time.Millisecond)) {
		t.Errorf("with data: %+v", withData)
	}
	eventually(t, "seen again, without data", func() bool {
		d.write(9, nil)
		p := r.hub.Presence("a")
		return p.LastSeen.Sub(p.LastData) > 5*time.Millisecond
	})
	_ = d.conn.Close()
	eventually(t, "disconnected", func() bool { return !r.hub.Presence("a").Connected })
	if p := r.hub.Presence("a"); p.LastSeen.Before(before) || p.LastData.Before(before) || p.Address == "" || r.hub.Connected() != 0 {
		t.Errorf("after: %+v", p)
	}
}
