package client

import (
	"bytes"
	"context"
	"encoding/pem"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// diskConfig is one for a device with a buffer file, which it names.
func diskConfig(t *testing.T, h *fakeHub) (cfg Config, path string) {
	cfg = h.config()
	cfg.BufferPath = filepath.Join(t.TempDir(), "buffer")
	return cfg, cfg.BufferPath
}

func TestDiskBufferSurvivesARestart(t *testing.T) {
	h := newFakeHub(t)
	cfg, _ := diskConfig(t, h)
	c, stop := h.startDevice(cfg)
	stream := c.Stats().Stream
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3, 4)
	first := hc.next()
	hc.expectFrames(3)
	hc.ack(device.Range{First: 2, Last: 3})
	until(t, "two frames are acked", func() bool { return c.Stats().Acked == 2 })
	stop()

	c, stop = h.startDevice(cfg)
	if s := checkBooks(t, c); s.Created != 2 || s.Unacked != 2 || s.Stream != stream {
		t.Errorf("%+v", s)
	}
	hc = h.accept()
	if hc.hello.Stream != stream || hc.hello.Oldest != 1 || hc.hello.Next != 5 {
		t.Errorf("%+v", hc.hello)
	}
	hc.welcome(device.Ranges{{First: 2, Last: 3}})
	if again := hc.next(); !bytes.Equal(again, first) {
		t.Errorf("% x became % x", first, again)
	}
	hc.expectFrames(1)
	hc.ack(device.Range{First: 1, Last: 4})
	if err := c.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	stop()

	c, _ = h.startDevice(cfg)
	sendValues(t, c, 5)
	if s := checkBooks(t, c); s.Stream != stream || s.Unacked != 1 {
		t.Errorf("%+v", s)
	}
	hc = h.accept()
	hc.welcome(nil)
	if got := hc.expectFrames(1); got[0] != 5 {
		t.Errorf("sent %v", got)
	}
}

func TestMemoryBufferBeginsANewStream(t *testing.T) {
	streams := map[uint64]bool{}
	for range 10 {
		streams[newTestClient(1<<20).Stats().Stream] = true
	}
	if len(streams) != 10 || streams[0] {
		t.Errorf("%v", streams)
	}
}

func TestBufferFileIsUsedByOneProcess(t *testing.T) {
	h := newFakeHub(t)
	cfg, _ := diskConfig(t, h)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil {
		t.Error("opened twice")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Send(oneValue(1)); err != ErrClosed {
		t.Errorf("Send after Close: %v", err)
	}
	if err := c.Run(t.Context()); err != ErrClosed {
		t.Errorf("Run after Close: %v", err)
	}
}

func TestDamagedHeaderIsSetAside(t *testing.T) {
	h := newFakeHub(t)
	cfg, path := diskConfig(t, h)
	if err := os.WriteFile(path, []byte("what is this"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + ".damaged"); err != nil || string(b) != "what is this" {
		t.Errorf("%q, %v", b, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// However long the device works, the file stays small, and what it holds is right after every write.
func TestBufferFileStaysBounded(t *testing.T) {
	h := newFakeHub(t)
	cfg, path := diskConfig(t, h)
	cfg.BufferBytes = 100_000
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	most, rewritten := int64(0), 0
	for i := range 1000 {
		n := rng.IntN(20)
		for v := range n {
			sendValues(t, c, int64(v))
		}
		if i/200%2 == 0 { // the hub is there half of the time
			next := c.buf.next
			c.settle(device.Ranges{{First: next - min(next-1, uint64(rng.IntN(30))), Last: next}}, false)
		}
		before := c.disk.file
		if err := c.flush(); err != nil {
			t.Fatal(err)
		}
		if c.disk.file != before {
			rewritten++
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != c.disk.size {
			t.Fatalf("the file has %d bytes, not %d", info.Size(), c.disk.size)
		}
		most = max(most, info.Size())
	}
	if limit := int64(2 * (cfg.BufferBytes + (maxLostRanges+1)*rangeRecordSize)); most > limit {
		t.Errorf("the file grew to %d bytes, limit %d", most, limit)
	}
	if rewritten == 0 || rewritten > 100 {
		t.Errorf("made anew %d times", rewritten)
	}
	checkBooks(t, c)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	is, was := booksOf(&restored(t, file).buf), booksOf(&c.buf)
	if len(is.held) != len(was.held) || len(is.lost) != len(was.lost) || is.next != was.next {
		t.Errorf("the file holds %d frames, %d lost, next %d; want %d, %d, %d",
			len(is.held), len(is.lost), is.next, len(was.held), len(was.lost), was.next)
	}
}

// While the file cannot be written nothing is sent; when it can be again, everything is.
func TestFailingDisk(t *testing.T) {
	h := newFakeHub(t)
	cfg, path := diskConfig(t, h)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := filepath.Dir(path)
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	c.disk.file.Close() // what a vanished disk does to it
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); <-done }()

	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2)
	until(t, "the failure is noticed", func() bool { return strings.Contains(c.Stats().LastError, "buffer file") })
	hc.expectNothing()
	if err := os.Rename(dir+"-gone", dir); err != nil {
		t.Fatal(err)
	}
	hc.expectFrames(2)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := restored(t, file).buf.held; n != 2 {
		t.Errorf("sent, but the file holds %d frames", n)
	}
	hc.ack(device.Range{First: 1, Last: 2})
	if err := c.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// A device file takes writes but no fdatasync: that is a failed write.
func TestWritesAreSynced(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &diskBuffer{file: f}
	defer d.abandon()
	if err := d.append([]byte("x")); err == nil {
		t.Error("no error")
	}
}

// A frame is on the wire only when the file has it.
func TestFramesWaitForTheDisk(t *testing.T) {
	c := newTestClient(1 << 20)
	sendValues(t, c, 1, 2, 3)
	c.buf.durable = 2
	c.buf.connected(1)
	s := &session{client: c, live: 1, windowFrames: 10, windowBytes: 1000, announced: c.schema}
	for _, want := range []uint64{1, 2} {
		b, _ := s.next(time.Now())
		if b == nil || frameSeq(t, b) != want {
			t.Fatalf("got % x, want frame %d", b, want)
		}
	}
	if b, _ := s.next(time.Now()); b != nil {
		t.Errorf("% x", b)
	}
	c.buf.durable = 3
	if b, _ := s.next(time.Now()); b == nil || frameSeq(t, b) != 3 {
		t.Errorf("% x", b)
	}
}

// A buffer file that is older than what the hub has: new frames must not pass for old ones.
func TestRolledBackFileBeginsANewStream(t *testing.T) {
	h := newFakeHub(t)
	cfg, path := diskConfig(t, h)
	c, stop := h.startDevice(cfg)
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3)
	hc.expectFrames(3)
	stop()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, stop = h.startDevice(cfg)
	sendValues(t, c, 4, 5)
	hc = h.accept()
	hc.welcome(nil)
	hc.expectFrames(5)
	stop()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}

	c, _ = h.startDevice(cfg)
	sendValues(t, c, 40) // with number 4, too
	hc = h.accept()
	stream := hc.hello.Stream
	hc.welcome(device.Ranges{{First: 1, Last: 2}, {First: 4, Last: 5}})
	hc = h.accept()
	if hc.hello.Stream == stream || hc.hello.Oldest != 1 || hc.hello.Next != 3 {
		t.Errorf("%+v", hc.hello)
	}
	hc.welcome(nil)
	for i, want := range []int64{3, 40} {
		if b := hc.next(); frameSeq(t, b) != uint64(i+1) || value(t, b) != want {
			t.Errorf("got % x, want frame %d with value %d", b, i+1, want)
		}
	}
	checkBooks(t, c)
	sendValues(t, c, 41)
	if got := hc.expectFrames(1); got[0] != 3 {
		t.Errorf("sent %v", got)
	}
}

// The hub says that the numbers to come are taken, on a later connection: a number of this device was corrupt on its way.
func TestNewStreamWhenTheHubNeedsOne(t *testing.T) {
	h := newFakeHub(t)
	c, _ := h.startDevice(h.config())
	hc := h.accept()
	hc.welcome(nil)
	sendValues(t, c, 1, 2, 3)
	hc.expectFrames(3)
	hc.cut()
	hc = h.accept()
	stream := hc.hello.Stream
	hc.welcome(device.Ranges{{First: 1, Last: 1}, {First: 3, Last: 3}}, func(w *device.Welcome) { w.NeedStream = true })
	hc = h.accept()
	if hc.hello.Stream == stream || hc.hello.Oldest != 1 || hc.hello.Next != 2 {
		t.Errorf("%+v", hc.hello)
	}
	hc.welcome(nil)
	if b := hc.next(); frameSeq(t, b) != 1 || value(t, b) != 2 { // all that the hub did not have
		t.Errorf("% x", b)
	}
	checkBooks(t, c)
}

// A new stream while a write is under way: that write says nothing about the new numbers.
func TestNewStreamDuringAWrite(t *testing.T) {
	h := newFakeHub(t)
	cfg, _ := diskConfig(t, h)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sendValues(t, c, 1, 2)
	b := c.nextBatch()
	c.leaveStream(device.Ranges{{First: 1, Last: 9}}, 0)
	c.flushed(b, c.disk.append(b.records))
	if f := c.buf.unsent(0, 10); f != nil {
		t.Errorf("frame %d would be sent before it is on disk", f.seq)
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	if f := c.buf.unsent(0, 10); f == nil {
		t.Error("nothing can be sent")
	}
}

// Environment variables that make the test binary a device.
const (
	childURL  = "TELEMETRY_TEST_URL"
	childDir  = "TELEMETRY_TEST_DIR"
	childMode = "TELEMETRY_TEST_MODE"
)

// TestChild is not a test but the process that others kill.
func TestChild(t *testing.T) {
	if os.Getenv(childURL) == "" {
		return
	}
	dir := os.Getenv(childDir)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c, err := New(Config{
		URL: os.Getenv(childURL), Token: "secret", TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"},
		Schema: testSchema, BufferPath: filepath.Join(dir, "buffer"), BufferBytes: 64 << 10, BacklogRate: 100_000,
		OnCommand: func(context.Context, device.Command) device.Result {
			f, err := os.OpenFile(filepath.Join(dir, "done"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err == nil {
				_, err = f.WriteString("x")
			}
			if err != nil {
				panic(err)
			}
			select {} // until killed
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(childMode) == "stream" {
		go func() {
			for v := int64(0); ; v++ {
				if _, err := c.Send(oneValue(time.Now().UnixNano())); err != nil {
					panic(err)
				}
				if v%16 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	_ = c.Run(context.Background())
}

// startChild runs a device in a process of its own; kill is kill -9.
func startChild(t *testing.T, h *fakeHub, dir, mode string) (kill func()) {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childURL+"=wss://"+h.server.Listener.Addr().String(), childDir+"="+dir, childMode+"="+mode)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() || strings.Contains(output.String(), "panic") {
			t.Logf("child: %s", output.String())
		}
	}
	t.Cleanup(kill)
	return kill
}

// A device is killed again and again, with a torn write at the end of its file: no number is used twice, and every frame is
// sent or declared lost.
func TestKillNine(t *testing.T) {
	h := newFakeHub(t)
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	seen := map[uint64]string{} // every frame ever received
	var stored, lost device.SeqSet
	var stream, next uint64
	take := func(hc *hubConn, message []byte) {
		if device.Type(message[0]) != device.TypeData {
			m, err := device.ParseControl(message)
			l, ok := m.(*device.Lost)
			if err != nil || !ok {
				t.Fatalf("%v, %v", m, err)
			}
			lost.AddRange(l.First, l.Last)
			hc.ack(device.Range{First: l.First, Last: l.Last})
			return
		}
		seq := frameSeq(t, message)
		if before, ok := seen[seq]; ok && before != string(message) {
			t.Fatalf("number %d is used for two frames", seq)
		}
		seen[seq] = string(message)
		if rng.IntN(3) > 0 {
			stored.Add(seq)
			hc.ack(device.Range{First: seq, Last: seq})
		}
	}
	for round := range 8 {
		kill := startChild(t, h, dir, "stream")
		hc := h.accept()
		if round > 0 && (hc.hello.Stream != stream || hc.hello.Next < next) {
			t.Fatalf("HELLO %+v after next %d", hc.hello, next)
		}
		stream = hc.hello.Stream
		hc.welcome(stored.AppendRanges(nil, device.MaxRanges))
		for range 200 + rng.IntN(300) {
			take(hc, hc.next())
		}
		kill()
		<-hc.closed
		for len(hc.in) > 0 {
			take(hc, <-hc.in)
		}
		for seq := range seen {
			next = max(next, seq+1)
		}
		tearTail(t, filepath.Join(dir, "buffer"), rng)
	}

	startChild(t, h, dir, "quiet")
	hc := h.accept()
	hc.welcome(stored.AppendRanges(nil, device.MaxRanges))
	for end := hc.hello.Next - 1; ; {
		var all device.SeqSet
		for _, r := range append(stored.Ranges(), lost.Ranges()...) {
			all.AddRange(r.First, r.Last)
		}
		if all.Count() == end {
			break
		}
		b := hc.next()
		take(hc, b)
		if device.Type(b[0]) == device.TypeData {
			stored.Add(frameSeq(t, b))
		}
	}
	t.Logf("%d frames stored, %d lost, of %d", stored.Count(), lost.Count(), hc.hello.Next-1)
}

// tearTail appends the beginning of a record: a write that the power cut off.
func tearTail(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	m := message(t, 1)
	record := appendFrameRecord(nil, &frame{seq: 1 << 40, message: m, schema: encodeSchema(testSchema)}, 0, 0)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(record[:rng.IntN(len(record))]); err != nil {
		t.Fatal(err)
	}
}

// A command that was begun when the device was killed is not begun again.
func TestCommandIsNotRepeatedAfterKillNine(t *testing.T) {
	h := newFakeHub(t)
	dir := t.TempDir()
	done := func() int { b, _ := os.ReadFile(filepath.Join(dir, "done")); return len(b) }
	kill := startChild(t, h, dir, "quiet")
	hc := h.accept()
	hc.welcome(nil)
	hc.send(blink(1))
	until(t, "the command is begun", func() bool { return done() == 1 })
	kill()

	startChild(t, h, dir, "quiet")
	hc = h.accept()
	hc.welcome(nil)
	hc.send(blink(1))
	if r := expect[*device.Result](hc); r.Status != device.ResultFailed || r.ID[0] != 1 {
		t.Errorf("%+v", r)
	}
	if n := done(); n != 1 {
		t.Errorf("carried out %d times", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{URL: "wss://hub", Token: "x", Schema: testSchema}
	for name, change := range map[string]func(*Config){
		"scheme":   func(c *Config) { c.URL = "https://hub" },
		"no host":  func(c *Config) { c.URL = "wss://" },
		"token":    func(c *Config) { c.Token = "" },
		"schema":   func(c *Config) { c.Schema = nil },
		"channels": func(c *Config) { c.Schema = &device.Schema{Channels: []device.Channel{{ID: 1}}} },
		"clock":    func(c *Config) { c.Clock = device.ClockBoot },
		"firmware": func(c *Config) { c.Firmware = strings.Repeat("x", device.MaxText+1) },
		"ack":      func(c *Config) { c.AckDelay = 2 * time.Hour },
		"rate":     func(c *Config) { c.BacklogRate = -1 },
		"path":     func(c *Config) { c.BufferPath = "/nowhere/at/all" },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// Boot time, a path in the URL, and a dial function.
func TestHandshake(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cfg.Clock, cfg.Boot = device.ClockBoot, 7
	cfg.Now = func() time.Time { return time.UnixMicro(1234) }
	cfg.AckDelay = 250 * time.Millisecond
	cfg.URL += "/behind/a/proxy"
	dialed := make(chan string, 1)
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed <- addr
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	path := make(chan string, 1)
	h.refuse = func(_ http.ResponseWriter, r *http.Request) bool { path <- r.URL.Path; return false }
	c, _ := h.startDevice(cfg)
	hc := h.accept()
	if got := <-path; got != "/behind/a/proxy" {
		t.Error(got)
	}
	if got := <-dialed; got != h.server.Listener.Addr().String() {
		t.Error(got)
	}
	if got := hc.hello; got.Boot != 7 || got.Now != 1234 || got.Clock != device.ClockBoot || got.AckDelay != 250 {
		t.Errorf("%+v", got)
	}
	hc.welcome(nil)
	sendValues(t, c, 1)
	var d device.Data
	if err := device.ParseData(hc.next(), testSchema, &d); err != nil || d.Boot != 7 || d.Clock != device.ClockBoot {
		t.Errorf("%+v, %v", d, err)
	}
}
