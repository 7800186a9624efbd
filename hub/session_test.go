package hub

import (
	"bytes"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/history"
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
	if b := r.store.Books("boiler"); b.Frames != 3 || b.Duplicates != 1 || b.Holes != 0 {
		t.Errorf("books %+v", b)
	}
	if dev, err := r.store.Device("boiler"); err != nil || dev.Firmware != "1.2" || dev.Model != "B" || dev.Schema != hello.SchemaHash {
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
	letters, err := r.store.DeadLetters(0, 10)
	if err != nil || len(letters) != 3 || !bytes.Equal(letters[2].Message, unknown) {
		t.Errorf("dead letters %+v, %v", letters, err)
	}
	if b := r.store.Books("a"); b.Frames != 1 || b.Rejected != 3 || b.Holes != 0 {
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
	d.control(&device.Result{ID: [16]byte{1}, Status: device.ResultSucceeded})
	d.alive(6)
	if b := r.store.Books("a"); b.Lost != 5 || b.Frames != 1 || b.Holes != 0 {
		t.Errorf("books %+v", b)
	}
	if n := r.hub.Counters().Results; n != 1 {
		t.Errorf("%d results", n)
	}
}

// A LOST with a wrong number far above those in use would make the frames to come duplicates, and its count would drown that of
// the whole fleet.
func TestLostFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ConnectsPerDevice: 1000}}, "a")
	hello := helloNow()
	hello.Next = 100
	for _, c := range []struct {
		last uint64
		ok   bool
	}{
		{99 + device.MaxAhead + 1, false}, // above HELLO.Next − 1
		{device.MaxSeq, false},
		{99 + device.MaxAhead, true},
		{99 + device.MaxAhead + 1, false}, // one LOST is no ground for the next
		{99 + device.MaxAhead, true},      // what is settled already may always be named
	} {
		d := r.connect("a")
		d.greet(hello)
		before := r.store.Books("a").Lost
		d.control(&device.Lost{First: c.last, Last: c.last, Reason: device.LostUnsent})
		if c.ok {
			d.acked(c.last)
			continue
		}
		if text := d.closed(device.CloseBadState); !strings.Contains(text, "LOST") {
			t.Errorf("%d: closed with %q", c.last, text)
		}
		if lost := r.store.Books("a").Lost; lost != before {
			t.Errorf("%d: %d lost, %d before", c.last, lost, before)
		}
	}
}

// The numbers of HELLO must not let a device declare lost, or leave as holes, what no device can have made.
func TestNextFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	hello := helloNow()
	hello.Next = device.MaxSeq
	d := r.connect("a")
	if w := d.greet(hello); !w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "readings of a are lost") {
		t.Errorf("%+v", alarms)
	}
	d.data(device.MaxSeq - 1)
	if m := expect[*device.Reject](d); m.Seq != 0 || m.Code != device.RejectMalformed {
		t.Errorf("%+v", m)
	}
	d.control(&device.Lost{First: 1, Last: device.MaxSeq - 1, Reason: device.LostOverwritten})
	d.closed(device.CloseBadState)
	if b := r.store.Books("a"); b.Lost != 0 || b.Holes != 0 || b.Rejected != 1 {
		t.Errorf("%+v", b)
	}
	hello.Stream, hello.Next = 8, 1+device.MaxSkip
	d = r.connect("a")
	if w := d.greet(hello); w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
	d.alive(device.MaxSkip)
}

// A frame with a corrupt number is not stored under it: it would make RESEND ask for, and the device declare lost, numbers that
// are still to come.
func TestDataFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) { p.sweep, p.holes, p.resend = 5*time.Millisecond, 20*time.Millisecond, time.Millisecond }}, "a")
	d := r.join("a")
	d.alive(1)
	broken := func(seq uint64) []byte { return frame(t, seq, time.Now())[:12] }
	for _, message := range [][]byte{
		frame(t, 1<<50, time.Now()), frame(t, 2+device.MaxAhead, time.Now()), broken(1 << 50), // a frame that is refused anyway
	} {
		d.write(2, message)
		if m := expect[*device.Reject](d); m.Seq != 0 || m.Code != device.RejectMalformed {
			t.Errorf("%+v", m)
		}
	}
	if b := r.store.Books("a"); b.Rejected != 3 || b.Holes != 0 {
		t.Errorf("%+v", b)
	}
	// Nearer by, it may be right. But what the device is asked for is no more than it has made.
	d.data(1+device.MaxAhead, 4)
	for asked := (device.Range{}); asked != (device.Range{First: 2, Last: 3}); {
		m := expect[*device.Resend](d)
		if asked = m.Ranges[0]; len(m.Ranges) != 1 || asked.Last > 3 {
			t.Fatalf("%+v", m)
		}
	}
	// Its number 4 cannot be known to be taken; but when it comes back, the higher one can be seen.
	again := r.connect("a")
	hello := helloNow()
	hello.Next = 5
	if w := again.greet(hello); !w.NeedStream {
		t.Errorf("%+v", w)
	}
}

// A buffer that begins anew under its old name is told, and its owner.
func TestStreamThatBeginsAgain(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a", "b")
	d := r.join("a")
	d.data(1, 2, 3)
	d.acked(1, 2, 3)
	r.leave(d)
	d = r.connect("a")
	hello := helloNow()
	hello.Next = 3 // one less than it has used
	if w := d.greet(hello); !w.NeedStream || len(w.Received) != 1 {
		t.Errorf("%+v", w)
	}
	d.data(3)
	d.acked(3)
	if b := r.store.Books("a"); b.Duplicates != 1 || b.Frames != 3 {
		t.Errorf("%+v", b)
	}
	if alarms := r.store.Alarms(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "readings of a are lost") || !strings.Contains(alarms[0].Text, "has number 3 already") {
		t.Errorf("%+v", alarms)
	}
	eventually(t, "an event", func() bool {
		return slices.ContainsFunc(r.feed.Events("a", 100), func(e live.Event) bool { return e.Kind == "stream" })
	})
	if w := r.connect("b").greet(helloNow()); w.NeedStream {
		t.Errorf("%+v", w)
	}
	r.leave(d)
	d = r.connect("a")
	hello.Stream, hello.Next = 8, 1
	if w := d.greet(hello); w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
	// The owner may also remove it.
	r.leave(d)
	d = r.connect("b")
	d.greet(helloNow())
	d.alive(1)
	r.leave(d)
	r.connect("b").greet(helloNow())
	if alarms := r.store.Alarms(); len(alarms) != 1 {
		t.Errorf("%+v", alarms)
	}
	if err := r.store.RemoveDevice("b"); err != nil {
		t.Fatal(err)
	}
	if alarms := r.store.Alarms(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
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
	eventually(t, "on disk", func() bool { return r.hub.registry.find("a").ingest.Load().Received(1).Count() == 1 })
	d.data(2, 3)
	eventually(t, "on disk", func() bool { return r.hub.registry.find("a").ingest.Load().Received(1).Count() == 3 })
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

// A wall clock may be as wrong as it likes: its readings are marked, and stored.
func TestAnyWallClockIsLetIn(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a")
	seq := uint64(0)
	for _, now := range []int64{math.MinInt64, math.MaxInt64, 0} {
		d := r.connect("a")
		hello := helloNow()
		hello.Now, hello.Next = now, seq+1
		d.greet(hello)
		seq++
		d.alive(seq)
		r.leave(d)
	}
	for reading, err := range r.store.Readings(t.Context(), history.Query{Device: "a"}) {
		if err != nil || reading.Quality != history.QualityDoubtful {
			t.Errorf("%+v, %v", reading, err)
		}
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

// What a reading's time is worth depends on what the hub knows of the device's clock.
func TestTimesAndTheirQuality(t *testing.T) {
	r := newRig(t, rigOptions{}, "wall", "boot", "wrong")
	old := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
	wall := r.join("wall")
	wall.write(2, frame(t, 1, old))
	wall.write(2, frame(t, 2, time.Now().Add(time.Hour)))
	wall.acked(1, 2)

	boot := r.connect("boot")
	hello := helloNow()
	hello.Clock, hello.Boot, hello.Now = device.ClockBoot, 5, (100 * time.Second).Microseconds()
	greeted := time.Now()
	boot.greet(hello)
	for seq, bootCount := range map[uint64]uint64{1: 5, 2: 4} {
		m, err := device.AppendData(nil, &device.Data{Seq: seq, Clock: device.ClockBoot, Boot: bootCount, Times: []int64{40_000_000},
			Columns: []device.Column{{ID: 2, Type: device.Int, Bits: []uint64{seq}}}}, testSchema)
		if err != nil {
			t.Fatal(err)
		}
		boot.write(2, m)
	}
	boot.acked(1, 2)

	wrong := r.connect("wrong")
	hello = helloNow()
	hello.Now -= (6 * time.Second).Microseconds()
	wrong.greet(hello)
	wrong.alive(1)

	readings := func(id string, n int) (list []history.Reading) {
		t.Helper()
		eventually(t, "readings of "+id, func() bool {
			list = list[:0]
			for reading, err := range r.store.Readings(t.Context(), history.Query{Device: id}) {
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, reading)
			}
			return len(list) == n
		})
		return list
	}
	near := func(what string, got, want time.Time) {
		t.Helper()
		if got.Sub(want).Abs() > 30*time.Second {
			t.Errorf("%s at %v, expected %v", what, got, want)
		}
	}
	if l := readings("wall", 2); !l[0].Time.Equal(old) || l[0].Quality != history.QualityDevice || l[1].Quality != history.QualityDoubtful {
		t.Errorf("%+v", l)
	}
	l := readings("boot", 2)
	near("known boot", l[0].Time, greeted.Add(-60*time.Second))
	near("unknown boot", l[1].Time, greeted)
	if l[0].Quality != history.QualityConverted || l[1].Quality != history.QualityReceived {
		t.Errorf("%+v", l)
	}
	if l := readings("wrong", 1); l[0].Quality != history.QualityDoubtful {
		t.Errorf("%+v", l)
	}
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

// The hub stops between the handshake of a device and its session: the device is told so, too.
func TestHubStopsDuringAHandshake(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	network := addressOf("192.0.2.1:1")
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.hub.reserve(w, req, "a", network) {
			t.Error("there is no room")
			return
		}
		r.stop()
		ended <- r.hub.upgrade(w, req, r.tokens["a"], "a", network)
	}))
	defer server.Close()
	r.addr = server.Listener.Addr().String()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, br := r.ask(conn, r.upgradeLines(r.tokens["a"])...)
	d := &testDevice{t: t, id: "a", conn: conn, br: br}
	d.closed(device.CloseGoingAway)
	_ = conn.Close()
	if err := <-ended; !errors.Is(err, errStopping) {
		t.Error(err)
	}
}
