package store_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func init() {
	roles["stream"] = streamRole
	roles["full"] = fullRole
}

// child starts this test binary again in a role.
func child(t *testing.T, role, dir string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "STORE_TEST_ROLE="+role, "STORE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// roleStore opens and runs the store of a child process.
func roleStore() *store.Store {
	s, err := store.Open(store.Options{
		Dir: os.Getenv("STORE_TEST_DIR"), CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	go func() {
		if err := s.Run(context.Background()); err != nil {
			panic(err)
		}
	}()
	return s
}

// streamRole sends frames as fast as it can and prints the number of each when it is settled. It goes on where the
// store says it left off, like a device.
func streamRole() {
	s := roleStore()
	news := make(chan struct{}, 1)
	in := s.Ledger.Ingest("a", 1, func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	in.Schema(schemaMessage, schema)
	var seq uint64
	if r := in.Received(device.MaxRanges); len(r) > 0 {
		seq = r[len(r)-1].Last
	}
	go func() {
		var settled ledger.Settled
		for range news {
			settled.Reset()
			in.Take(&settled)
			for _, r := range settled.Acks {
				fmt.Println(r.First, r.Last)
			}
		}
	}()
	for {
		seq++
		message, d := data(seq)
		if err := in.Frame(context.Background(), message, d, tail.Timing{}); err != nil {
			panic(err)
		}
		if seq%64 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAckedFramesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var acked device.SeqSet
	for range 8 {
		cmd, lines := child(t, "stream", dir)
		limit := 1 + rng.IntN(40)
		for n := 0; n < limit && lines.Scan(); n++ {
			first, last, _ := strings.Cut(lines.Text(), " ")
			f, errF := strconv.ParseUint(first, 10, 64)
			l, errL := strconv.ParseUint(last, 10, 64)
			if errF != nil || errL != nil {
				t.Fatalf("line %q", lines.Text())
			}
			acked.AddRange(f, l)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	if acked.Count() < 100 {
		t.Fatalf("only %d frames were acked: the test tests nothing", acked.Count())
	}
	s := start(t, store.Options{Dir: dir}).Store
	received := s.Ledger.Ingest("a", 1, func() {}).Received(device.MaxRanges)
	if len(received) != 1 || received[0].First != 1 || received[0].Last < acked.Max() {
		t.Fatalf("received %v, acked up to %d", received, acked.Max())
	}
	wantFrames(t, s, "a", numbers(1, received[0].Last))
	if got := s.Ledger.Books("a"); got.Frames != received[0].Last || got.Holes != 0 {
		t.Errorf("books %+v, received %v", got, received)
	}
}

// fullRole is a store on a disk that is full for a while, which a limit on the size of files stands for.
func fullRole() {
	s := roleStore()
	news := make(chan struct{}, 100)
	in := s.Ledger.Ingest("a", 1, func() { news <- struct{}{} })
	in.Schema(schemaMessage, schema)
	send := func(seq uint64) {
		message, d := data(seq)
		if err := in.Frame(context.Background(), message, d, tail.Timing{}); err != nil {
			panic(err)
		}
	}
	limit := func(bytes uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}); err != nil {
			panic(err)
		}
	}
	send(1)
	<-news
	limit(1)
	send(2)
	for s.Status().Storage.State != "failing" {
		time.Sleep(time.Millisecond)
	}
	var settled ledger.Settled
	in.Take(&settled)
	fmt.Println("failing", settled.Acks, len(s.Status().Alarms))
	limit(unix.RLIM_INFINITY)
	<-news
	settled.Reset()
	in.Take(&settled)
	fmt.Println(s.Status().Storage.State, settled.Acks, len(s.Status().Alarms))
	os.Exit(0)
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := child(t, "full", dir)
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	// The alarm stays a while: a disk that is full but for a little fails now and then.
	if want := "failing [{1 1}] 1,ok [{2 2}] 1"; strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
	wantFrames(t, start(t, store.Options{Dir: dir}).Store, "a", numbers(1, 2))
}

// filled returns the directory of a store, stopped in order, with 300 frames of "a", and its token.
func filled(t *testing.T) (dir, token string) {
	h := start(t, store.Options{})
	token = add(t, h.Store, "a")[0]
	addAdmin(t, h.Store)
	if _, err := h.Accounts.AddAPIKey("script", accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	c := connect(t, h.Store, "a", 1)
	c.Send(numbers(1, 300)...)
	c.Await(numbers(1, 300)...)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	return h.Dir(), token
}

func TestDamagedHubDB(t *testing.T) {
	dir, token := filled(t)
	name := path(dir, "hub.db")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() []byte{
		"empty":   func() []byte { return nil },
		"garbage": func() []byte { return []byte(strings.Repeat("garbage ", 4096)) },
	}
	const page = 4096
	used := 0
	for n := 0; n*page < len(whole); n++ {
		one := whole[n*page : min((n+1)*page, len(whole))]
		if strings.Trim(string(one), "\x00") == "" {
			continue
		}
		used++
		damage[fmt.Sprint("truncated to ", n, " pages")] = func() []byte { return whole[:n*page] }
		for kind, f := range map[string]func(b []byte){
			"zeroed": func(b []byte) { clear(b) },
			"inverted": func(b []byte) {
				for i := range b {
					b[i] = ^b[i]
				}
			},
			"flipped": func(b []byte) { b[len(b)/2] ^= 0x10; b[20] ^= 0x10 },
		} {
			damage[fmt.Sprint("page ", n, " ", kind)] = func() []byte {
				b := append([]byte(nil), whole...)
				f(b[n*page : min((n+1)*page, len(whole))])
				return b
			}
		}
	}
	if used < 5 {
		t.Fatalf("only %d pages are used", used)
	}
	for what, bytes := range damage {
		t.Run(what, func(t *testing.T) {
			dir := copyDir(t, dir)
			if err := os.WriteFile(path(dir, "hub.db"), bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, store.Options{Dir: dir}).Store
			wantToken(t, s, token, "a", nil)
			wantFrames(t, s, "a", numbers(1, 300))
			if got := s.Ledger.Books("a"); got.Frames != 300 || got.Holes != 0 {
				t.Errorf("books %+v", got)
			}
			if u, k := s.Accounts.Users(), s.Accounts.APIKeys(); len(u) != 1 || u[0].Name != "kim" || u[0].Role != accounts.RoleAdmin || len(k) != 1 {
				t.Errorf("users %v, API keys %v", u, k)
			}
			if aside, _ := filepath.Glob(name + ".damaged-*"); len(aside) > 0 && len(s.Status().Alarms) == 0 {
				t.Error("hub.db was set aside without an alarm")
			}
			c := connect(t, s, "a", 1)
			c.Send(300, 301)
			c.Await(300, 301)
			wantFrames(t, s, "a", numbers(1, 301))
		})
	}
}

func TestLostJournal(t *testing.T) {
	dir, _ := filled(t)
	if err := os.RemoveAll(path(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	h := start(t, store.Options{Dir: dir})
	if got := h.Ledger.Books("a"); got.Frames != 300 {
		t.Errorf("the checkpoint has %+v", got)
	}
	c := connect(t, h.Store, "a", 1)
	c.Send(301)
	c.Await(301)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	// The new journal goes on above the positions that were used: nothing behind a cursor is taken for old.
	again := start(t, store.Options{Dir: dir})
	got := readings(t, again.Store, "a")
	if n := len(got); n == 0 || got[n-1].Value.Bits != 301 {
		t.Errorf("frame 301 is gone: %d readings", n)
	}
	if got := again.Ledger.Books("a"); got.Frames != 301 {
		t.Errorf("books %+v", got)
	}
}

func TestLostHistory(t *testing.T) {
	dir, _ := filled(t)
	for _, content := range []string{"", strings.Repeat("garbage ", 4096)} {
		dir := copyDir(t, dir)
		if err := os.WriteFile(path(dir, "history.db"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		wantFrames(t, start(t, store.Options{Dir: dir}).Store, "a", numbers(1, 300))
	}
}

// What a device measures is known after a crash, even if it announced it after the last checkpoint and has not returned.
func TestSchemaSurvivesKill(t *testing.T) {
	h := start(t, store.Options{})
	if _, err := h.Devices.Add([]devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, h.Store, "a", 1)
	h.Devices.Note("a", &device.Hello{SchemaHash: device.HashSchema(schemaMessage)})
	c.Send(1)
	c.Await(1)
	again := start(t, store.Options{Dir: copyDir(t, h.Dir())})
	if got, ok := again.DeviceSchema("a"); !ok || len(got.Channels) != len(schema.Channels) {
		t.Errorf("the schema is %v, %v", got, ok)
	}
}
