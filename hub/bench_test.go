package hub

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// idleSession is a session without a connection, of a store that does not run: nothing else allocates.
func idleSession(t testing.TB) *session {
	t.Helper()
	st, err := store.Open(store.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	h := New(Config{Store: st, Limits: Limits{FramesPerSecond: 1e9, FrameBurst: 1e9}})
	s := newSession(h, "a", netip.Prefix{}, &socket.Conn{}, "")
	t.Cleanup(s.cancel)
	in := st.Ledger.Ingest("a", 1, func() {})
	in.Schema(testSchemaMessage, testSchema)
	s.ingest.Store(in)
	s.schema, s.hello = testSchema, helloNow()
	s.measured.Store(&measured{own: true, base: st.Clock().Base()})
	return s
}

func TestFrameAllocatesNothing(t *testing.T) {
	s := idleSession(t)
	const n = 5000
	messages := make([][]byte, n+1)
	for i := range messages {
		messages[i] = frame(t, uint64(i+1), time.Now())
	}
	i := 0
	if allocs := testing.AllocsPerRun(n, func() {
		s.Message(true, messages[i])
		i++
	}); allocs > 0 {
		t.Errorf("%v allocations for one frame", allocs)
	}
	// All were taken if, after another one with a number left out, that number is the only hole.
	s.Message(true, frame(t, n+3, time.Now()))
	if holes := s.ingest.Load().Holes(10); s.ctx.Err() != nil || len(holes) != 1 || holes[0] != (device.Range{First: n + 2, Last: n + 2}) {
		t.Errorf("the frames were not taken: holes %v", holes)
	}
}

func BenchmarkFrame(b *testing.B) {
	s := idleSession(b)
	m := frame(b, 1, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		s.Message(true, m) // a duplicate, after the first: the store's memory stays as it is
	}
}

// BenchmarkConnectionMemory reports what an idle connection costs the hub's process; its devices live in another one.
func BenchmarkConnectionMemory(b *testing.B) {
	const n = 1000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "d" + strconv.Itoa(i)
	}
	r := newRig(b, rigOptions{limits: Limits{ConnectsPerDevice: 1e6}})
	r.hub.log = slog.New(slog.DiscardHandler)
	for _, id := range ids {
		r.add(id)
	}
	for b.Loop() {
		before := resident(b)
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperDevices$")
		cmd.Env = append(os.Environ(), "HUB_TEST_ADDR="+r.addr, "HUB_TEST_ROOT="+r.root)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for _, id := range ids {
			fmt.Fprintln(stdin, r.tokens[id])
		}
		fmt.Fprintln(stdin)
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			b.Fatalf("%q %v", line, err)
		}
		b.ReportMetric(float64(resident(b)-before)/n, "B/conn")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/n, "heap/conn")
		b.ReportMetric(float64(m.StackInuse)/n, "stack/conn")
		_ = stdin.Close()
		_ = cmd.Wait()
		eventually(b, "all gone", func() bool { return r.hub.Connected() == 0 })
	}
}

// resident is the resident memory of this process after garbage collections.
func resident(b *testing.B) int {
	b.Helper()
	for range 3 { // each collection halves the stacks that have become too large
		debug.FreeOSMemory()
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestHelperDevices is the process of BenchmarkConnectionMemory that holds the devices: it connects one for each token
// that comes in, each sends a frame, and all stay until the input ends.
func TestHelperDevices(t *testing.T) {
	addr := os.Getenv("HUB_TEST_ADDR")
	if addr == "" {
		return
	}
	r := &rig{t: t, addr: addr, tokens: map[string]string{}, tls: clientTLS(t, os.Getenv("HUB_TEST_ROOT"))}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "" {
		r.tokens[""] = in.Text()
		d := r.connect("")
		d.control(helloNow())
		if expect[*device.Welcome](d).NeedSchema {
			d.write(2, testSchemaMessage)
		}
		d.data(uint64(time.Now().UnixMicro()))
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
