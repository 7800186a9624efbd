package hub

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// A frame whose 64-bit length has its highest bit set has crashed whole servers. Only the connection that sent it may end.
func TestFrameThatCrashesTheParser(t *testing.T) {
	r := newRig(t, rigOptions{}, "evil", "good")
	good, evil := r.join("good"), r.join("evil")
	good.alive(1)
	crash := []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4}
	if _, err := evil.conn.Write(crash); err != nil {
		t.Fatal(err)
	}
	good.alive(2)
	eventually(t, "the session is gone, though the device does nothing", func() bool { return r.hub.Connected() == 1 })
	evil.closed(device.CloseProtocolError)
	evil = r.join("evil")
	evil.alive(1)
}

func TestSlowReaderIsCutAndHarmsNobody(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{WriteTimeout: 300 * time.Millisecond, FramesPerSecond: 1e6, FrameBurst: 1e6, ControlsPerSecond: 1e6}}, "slow", "good")
	slow, good := r.join("slow"), r.join("good")
	good.alive(1)
	// The pongs to its pings are never read: they fill its receive buffer, then the hub's send buffer.
	ping := clientFrame(9, bytes.Repeat([]byte("x"), 125))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := slow.conn.Write(bytes.Repeat(ping, 100)); err != nil {
				return
			}
		}
	}()
	seq := uint64(2)
	for cut := false; !cut; seq++ {
		good.alive(seq)
		select {
		case <-ended:
			cut = true
		default:
		}
	}
	eventually(t, "the session is gone", func() bool { return r.hub.Connected() == 1 })
	eventually(t, "the log says why", func() bool { return r.endings(device.CloseSlow) == 1 })
	good.alive(seq)
}

func TestNewestConnectionWins(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	old := r.join("a")
	old.alive(1)
	newer := r.join("a")
	newer.alive(2)
	if text := old.closed(device.CloseReplaced); text == "" {
		t.Error("no text")
	}
	eventually(t, "the old session has ended", func() bool { return len(r.hub.sessions.list()) == 1 })
	// Its end has left the new one alone.
	if p := r.hub.Presence("a"); !p.Connected || p.Address != newer.conn.LocalAddr().String() {
		t.Errorf("%+v", p)
	}
	newer.alive(3)
	if n := r.endings(device.CloseReplaced); n != 1 {
		t.Errorf("%d replaced", n)
	}
}

// A half-open connection, whose device never answers again, is replaced all the same.
func TestReplacedConnectionThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	r.join("a").alive(1)
	r.join("a").alive(2)
	eventually(t, "the old session has ended", func() bool { return len(r.hub.sessions.list()) == 1 })
}

func TestRevokedWithinASecond(t *testing.T) {
	r := newRig(t, rigOptions{}, "a", "b")
	a, b := r.join("a"), r.join("b")
	a.alive(1)
	b.alive(1)
	if err := r.store.Devices.Revoke("a"); err != nil {
		t.Fatal(err)
	}
	r.hub.Disconnect("a", device.CloseRevoked, "revoked")
	// a neither reads nor answers, and goes on sending: nothing of it is taken any more.
	_, _ = a.conn.Write(clientFrame(2, frame(t, 2, time.Now())))
	eventually(t, "the session has ended", func() bool { return r.hub.Connected() == 1 })
	if defaultPace.closing >= time.Second {
		t.Error("a device that does not answer stays for more than a second")
	}
	a.closed(device.CloseRevoked)
	if got := r.store.Ledger.Books("a").Frames; got != 1 {
		t.Errorf("%d frames", got)
	}
	if res, _ := r.get(r.upgradeLines(r.tokens["a"])...); res.StatusCode != 403 {
		t.Error(res.Status)
	}
	b.alive(2)
	r.hub.Disconnect("nobody", device.CloseRevoked, "")
}

// A device that is revoked after it has been authenticated, and before it has a session, gets no session.
func TestRevokedDuringTheHandshake(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	r.hub.sessions.mu.Lock() // stops the handshake where it needs a place
	go func() {
		defer r.hub.sessions.mu.Unlock()
		authenticated := await(func() bool {
			r.hub.connects.mu.Lock()
			defer r.hub.connects.mu.Unlock()
			return r.hub.connects.byKey["a"] != nil
		})
		if err := r.store.Devices.Revoke("a"); !authenticated || err != nil {
			t.Errorf("authenticated: %v, revoke: %v", authenticated, err)
		}
	}()
	r.connect("a").closed(device.CloseRevoked)
}

// A fault of the hub itself ends the connection on which it shows, and no other.
func TestPanicInTheHub(t *testing.T) {
	var broken atomic.Bool
	r := newRig(t, rigOptions{now: func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("broken")
		}
		return time.Now()
	}}, "a", "b")
	a, b := r.connect("a"), r.join("b")
	broken.Store(true)
	a.control(helloNow())
	a.closed(device.CloseInternal)
	a = r.join("a")
	a.alive(1)
	broken.Store(true)
	a.data(2)
	a.closed(device.CloseInternal)
	b.alive(1)
}

// A Close frame with the text of a network error would tell the device our addresses.
func TestErrorTextsStayHere(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	d.alive(1)
	if err := d.conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	d.gone()
}

func TestSilentDeviceIsClosed(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Idle: 200 * time.Millisecond}, pace: func(p *pace) { p.housekeeping = 10 * time.Millisecond; p.hello = time.Hour }}, "silent", "waiting")
	waiting := r.connect("waiting") // its time is that of HELLO
	r.join("silent").closed(device.CloseIdle)
	waiting.greet(helloNow())
	eventually(t, "the log says why", func() bool { return r.endings(device.CloseIdle) == 1 })
}

// A device that the hub itself holds up can't be heard, and is not silent.
func TestHeldUpDeviceIsNotClosed(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Idle: 400 * time.Millisecond, FramesPerSecond: 1, FrameBurst: 1}, pace: func(p *pace) { p.housekeeping = 10 * time.Millisecond }}, "a")
	d := r.join("a")
	d.data(1, 2)
	d.acked(1, 2)
}

func TestPingsKeepTheConnection(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Idle: 500 * time.Millisecond, ControlsPerSecond: 1000}, pace: func(p *pace) { p.housekeeping = 5 * time.Millisecond }}, "a", "silent")
	a, silent := r.join("a"), r.join("silent")
	ended := make(chan struct{})
	go func() { defer close(ended); silent.closed(device.CloseIdle) }()
	for done := false; !done; { // until another one has been silent for too long
		a.write(9, nil)
		if opcode, _, err := a.read(); opcode != 10 {
			t.Fatalf("opcode %d, %v", opcode, err)
		}
		time.Sleep(20 * time.Millisecond) // the device's rhythm
		select {
		case <-ended:
			done = true
		default:
		}
	}
	a.alive(1)
}

func TestNoHello(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) { p.housekeeping = 10 * time.Millisecond; p.hello = 50 * time.Millisecond }}, "a")
	d := r.connect("a")
	d.closed(device.CloseIdle)
}

func TestPingFlood(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ControlsPerSecond: 1}}, "a")
	d := r.join("a")
	_, _ = d.conn.Write(bytes.Repeat(clientFrame(9, nil), 20))
	d.closed(device.ClosePolicy)
}

func TestFastDeviceIsReadSlowlyAndLosesNothing(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{FramesPerSecond: 200, FrameBurst: 10}}, "a")
	d := r.join("a")
	var all []byte
	var seqs []uint64
	for seq := range uint64(60) {
		all = append(all, clientFrame(2, frame(t, seq+1, time.Now()))...)
		seqs = append(seqs, seq+1)
	}
	start := time.Now()
	if _, err := d.conn.Write(all); err != nil {
		t.Fatal(err)
	}
	d.acked(seqs...)
	if took := time.Since(start); took < 200*time.Millisecond { // 50 frames at 200 a second
		t.Errorf("60 frames in %v", took)
	}
}

func TestFragmentsAndTrickle(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	m := frame(t, 1, time.Now())
	whole := append(clientFrame(2, m[:5]), clientFrame(0, m[5:])...)
	whole[0] &^= 0x80 // not the last fragment
	for i := range whole {
		if _, err := d.conn.Write(whole[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	d.acked(1)
}

// A device that breaks the framing and then does nothing is hung up on.
func TestDeviceThatStaysAfterAFault(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	if _, err := d.conn.Write([]byte{0x82, 1, 1}); err != nil { // not masked
		t.Fatal(err)
	}
	eventually(t, "the session is gone", func() bool { return r.hub.Connected() == 0 })
	d.closed(device.CloseProtocolError)
}

func TestEndlessFragments(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.join("a")
	first := clientFrame(2, nil)
	first[0] &^= 0x80
	empty := clientFrame(0, nil)
	empty[0] &^= 0x80
	go func() {
		_, _ = d.conn.Write(append(first, bytes.Repeat(empty, 16*device.MaxMessage/len(empty))...))
	}()
	d.closed(device.ClosePolicy)
}

func TestFramesSentTogetherWithTheHandshake(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	more := clientFrame(2, device.AppendControl(nil, helloNow()))
	more = append(more, clientFrame(2, testSchemaMessage)...)
	more = append(more, clientFrame(2, frame(t, 1, time.Now()))...)
	conn := r.dialTLS()
	res, br := r.exchange(conn, r.upgradeLines(r.tokens["a"]), more)
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	d := &testDevice{t: t, id: "a", conn: conn, br: br}
	expect[*device.Welcome](d)
	d.acked(1)
}

func TestResendOfHoles(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) {
		p.housekeeping, p.holes, p.resend = 5*time.Millisecond, 50*time.Millisecond, time.Millisecond
	}}, "a")
	d := r.connect("a")
	hello := helloNow()
	hello.Oldest, hello.Next = 3, 10
	d.greet(hello)
	d.data(5, 9)
	if m := expect[*device.Resend](d); len(m.Ranges) != 2 || m.Ranges[0] != (device.Range{First: 3, Last: 4}) || m.Ranges[1] != (device.Range{First: 6, Last: 8}) {
		t.Errorf("%+v", m)
	}
	d.data(3, 4, 6, 7, 8)
	// What it does not hold is asked for when all else is there, for it to declare it lost.
	if m := expect[*device.Resend](d); len(m.Ranges) != 1 || m.Ranges[0] != (device.Range{First: 1, Last: 2}) {
		t.Errorf("%+v", m)
	}
	d.control(&device.Lost{First: 1, Last: 2, Reason: device.LostOverwritten})
	var acked device.SeqSet
	for !acked.Contains(1) || !acked.Contains(2) { // those of the frames may come as late
		for _, r := range expect[*device.Ack](d).Ranges {
			acked.AddRange(r.First, r.Last)
		}
	}
	if b := r.store.Ledger.Books("a"); b.Holes != 0 || b.Lost != 2 || b.Frames != 7 {
		t.Errorf("%+v", b)
	}
}

func TestShutdown(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{WriteTimeout: time.Minute}}, "a", "b", "stubborn")
	a, b, stubborn := r.join("a"), r.join("b"), r.join("stubborn")
	a.alive(1)
	b.alive(1)
	stubborn.alive(1) // it will not answer
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	for _, d := range []*testDevice{a, b} {
		if m := expect[*device.GoAway](d); m.Reason != device.GoAwayShutdown || m.MinMS == 0 || m.MaxMS <= m.MinMS {
			t.Errorf("%+v", m)
		}
		d.closed(device.CloseGoingAway)
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the hub does not stop")
	}
	if n := r.hub.Connected(); n != 0 {
		t.Errorf("%d connected", n)
	}
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}

func TestShutdownDuringAHandshake(t *testing.T) {
	r := newRig(t, rigOptions{})
	half := r.dialTLS()
	if _, err := half.Write([]byte("GET /v1/device HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	r.stop()
	rawGone(t, half)
}

// Strangers who stall at any point of the way hold places, but no device is kept out, not even one behind their address.
func TestStrangersWhoStallKeepNobodyOut(t *testing.T) {
	r := newRig(t, rigOptions{
		limits: Limits{PendingConnections: 16, HandshakeTimeout: time.Hour, WriteTimeout: time.Hour},
		pace:   func(p *pace) { p.patience = 50 * time.Millisecond },
		other:  http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }),
	}, "a", "b", "c")
	r.join("a").alive(1)
	hello := []byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196} // the head of a ClientHello
	var stalling []net.Conn
	stall := func(from string) {
		for range 30 {
			half := r.dialFrom(from)
			_, _ = half.Write(hello)
			stalling = append(stalling, r.dialFrom(from), half)
			for _, text := range []string{"GET / HTTP/1.1\r\nHost: h\r\nX:", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"} {
				conn := tls.Client(r.dialFrom(from), r.tls)
				go func() { // it has to wait, or is dropped
					if conn.Handshake() == nil {
						_, _ = conn.Write([]byte(text))
					}
				}()
			}
		}
	}
	// On a busy machine a device may be slower than the hub's patience, too, and is dropped: then it tries again.
	comesIn := func(id string) {
		t.Helper()
		eventually(t, id+" comes in", func() bool {
			conn, err := tls.Dial("tcp", r.addr, r.tls)
			if err != nil {
				return false
			}
			t.Cleanup(func() { _ = conn.NetConn().Close() })
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, strings.Join(r.upgradeLines(r.tokens[id]), "\r\n")+"\r\n\r\n")
			br := bufio.NewReader(conn)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				return false
			}
			if res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%s: %s", id, res.Status)
			}
			d := &testDevice{t: t, id: id, conn: conn, br: br}
			d.greet(helloNow())
			d.alive(1)
			return true
		})
	}
	stall("127.0.0.2")
	comesIn("b")
	stall("127.0.0.1")
	comesIn("c")
	eventually(t, "some were dropped", func() bool {
		return slices.ContainsFunc(stalling, func(conn net.Conn) bool {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := conn.Read(make([]byte, 1))
			return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		})
	})
}

// A device that announces one new schema after the other is closed, and one that comes back to a schema that is known is not.
func TestOneNewSchemaAfterTheOther(t *testing.T) {
	r := newRig(t, rigOptions{}, "a", "b")
	r.join("a").alive(1)
	n := 0
	for r.hub.schemas.take("a") {
		n++
	}
	if n != device.MaxNewSchemas-1 { // one has been announced
		t.Errorf("%d more schemas would have been taken", n)
	}
	d := r.join("a")
	d.alive(2)
	other := &device.Schema{Channels: testSchema.Channels[:2]}
	d.control(other)
	d.closed(device.CloseTryLater)
	b := r.join("b")
	b.control(other)
	b.alive(1)
	d = r.join("a") // now it is known
	d.control(other)
	d.alive(3)
}
