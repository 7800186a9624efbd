package store

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

var numberSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}}}

// exporting opens a store that exports and retries soon.
func exporting(t testing.TB, o Options, c influx.Config) *Store {
	t.Helper()
	if c.Bucket == "" {
		c.Bucket = influxtest.Database
	}
	o.Influx = &InfluxOptions{Config: c, FlushInterval: 20 * time.Millisecond}
	s := open(t, o)
	s.export.gate.retryMin, s.export.gate.retryMax = 5*time.Millisecond, 50*time.Millisecond
	s.export.gate.retryPaused = 50 * time.Millisecond
	return s
}

func register(t testing.TB, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.AddDevices([]NewDevice{{ID: id, Kind: "meter", Labels: map[string]string{"site": "north"}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// meter sends numbers, each with a time and a value of its own.
type meter struct {
	*Ingest
	t   *testing.T
	seq uint64
	sum uint64
}

var meterEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func newMeter(t *testing.T, s *Store, id string) *meter {
	in := s.Ingest(id, 1, func() {})
	in.Schema(device.AppendControl(nil, numberSchema), numberSchema)
	return &meter{Ingest: in, t: t}
}

func (m *meter) send(frames int) {
	m.t.Helper()
	for range frames {
		m.seq++
		m.sum += m.seq
		d := &device.Data{Seq: m.seq, Times: []int64{meterEpoch + int64(m.seq)*1e6}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{m.seq}}}}
		message, err := device.AppendData(nil, d, numberSchema)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := m.Frame(m.t.Context(), message, d, Timing{}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// drain waits until everything that was handed in is exported.
func drain(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the export", func() bool { return s.export.reached() >= s.journal.Next() })
}

// wantMeters compares count and sum of each meter in InfluxDB with what was sent.
func wantMeters(t *testing.T, db *influxtest.Server, meters ...*meter) {
	t.Helper()
	for _, m := range meters {
		id := m.account.device
		series := db.Exec(fmt.Sprintf(`SELECT count(v), sum(v) FROM meter WHERE device = '%s' AND site = 'north'`, id))
		got := "nothing"
		if len(series) == 1 {
			got = fmt.Sprintf("%v and %v", series[0].Values[0][1], number(series[0].Values[0][2]))
		}
		if want := fmt.Sprintf("%d and %d", m.seq, m.sum); got != want {
			t.Errorf("%s: count and sum %s, want %s", id, got, want)
		}
	}
}

func number(v any) uint64 {
	f, _ := v.(json.Number).Float64()
	return uint64(f)
}

// TestExportSurvivesCrashes kills InfluxDB and stops the store in turn; in the end InfluxDB has everything once.
func TestExportSurvivesCrashes(t *testing.T) {
	db := influxtest.Start(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := run(t, s)
	a, b := newMeter(t, s, "a"), newMeter(t, s, "b")
	a.send(1000)
	b.send(10)
	drain(t, s)
	wantMeters(t, db, a, b)

	db.Kill()
	a.send(3000)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	if alarms := fmt.Sprint(s.Status().Alarms); !strings.Contains(alarms, "connection refused") {
		t.Errorf("alarms %s", alarms)
	}
	stop()

	s = exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	stop = run(t, s)
	defer func() { stop() }()
	a.Ingest, b.Ingest = newMeter(t, s, "a").Ingest, newMeter(t, s, "b").Ingest
	b.send(500)
	db.Run()
	drain(t, s)
	wantMeters(t, db, a, b)
	status := s.Status()
	if e := status.Export; e.State != "reachable" || e.Waiting.Entries != 0 || e.Dropped != 0 || len(status.Alarms) != 0 {
		t.Errorf("state %+v, alarms %v", e, status.Alarms)
	}
}

// TestNewestFirst lets a backlog drain slowly: what comes in meanwhile arrives at once all the same.
func TestNewestFirst(t *testing.T) {
	db := influxtest.Start(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"}) // nobody is there
	register(t, s, "a", "b")
	stop := run(t, s)
	newMeter(t, s, "a").send(2000)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	stop()

	target, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The backlog's requests, which are about a, wait until they may go on.
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "device=a") {
			<-held
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	defer release()
	s = exporting(t, Options{Dir: dir}, influx.Config{URL: proxy.URL})
	stop = run(t, s)
	defer func() { stop() }()
	b := newMeter(t, s, "b")
	b.send(5)
	eventually(t, "the newest frames", func() bool { return len(db.Exec(`SELECT v FROM meter WHERE device = 'b'`)) > 0 })
	wantMeters(t, db, b)
	waiting := s.Status().Export.Waiting
	if waiting.Entries < 2000 || waiting.Oldest.IsZero() || waiting.Bytes == 0 {
		t.Errorf("waiting %+v while the backlog is held", waiting)
	}
	release()
	drain(t, s)
	if n := db.Exec(`SELECT count(v) FROM meter WHERE device = 'a'`); number(n[0].Values[0][1]) != 2000 {
		t.Errorf("the backlog arrived as %v", n)
	}
}

// TestLeap has the live lane leave to the backlog what piled up while the server did not answer.
func TestLeap(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var mu sync.Mutex
	var order []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		order = append(order, string(body))
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	s := exporting(t, Options{Now: func() time.Time { return time.Unix(0, now.Load()) }}, influx.Config{URL: server.URL})
	register(t, s, "a")
	stop := run(t, s)
	defer func() { stop() }()
	a := newMeter(t, s, "a")
	a.send(1)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	a.send(1000)
	eventually(t, "a commit", func() bool { return s.journal.Next() > 1000 })
	now.Add(int64(time.Hour))
	down.Store(false)
	drain(t, s)
	s.export.mu.Lock()
	live, next := s.export.live, s.journal.Next()
	s.export.mu.Unlock()
	if live != next {
		t.Errorf("the live lane is at %d, the journal at %d", live, next)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(strings.Join(order, ""), "\n"); n != 1001 {
		t.Errorf("%d lines arrived, want 1001", n)
	}
}

// TestOneBadDevice has one device of many change a field from number to text.
func TestOneBadDevice(t *testing.T) {
	db := influxtest.Start(t)
	s := exporting(t, Options{}, influx.Config{URL: db.URL})
	stop := run(t, s)
	defer func() { stop() }()
	var meters []*meter
	for i := range 51 {
		id := fmt.Sprintf("d%02d", i)
		register(t, s, id)
		meters = append(meters, newMeter(t, s, id))
		meters[i].send(20)
	}
	drain(t, s)
	bad := meters[50]
	text := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.String}}}
	bad.Schema(device.AppendControl(nil, text), text)
	for round := range 5 {
		for i := range 20 {
			at := meterEpoch + int64(1000+20*round+i)*1e6
			d := &device.Data{Seq: uint64(100 + 20*round + i), Times: []int64{at, at + 1}, Columns: []device.Column{{ID: 1, Type: device.String, Text: [][]byte{[]byte("a"), []byte("b")}}}}
			message, err := device.AppendData(nil, d, text)
			if err != nil {
				t.Fatal(err)
			}
			if err := bad.Frame(t.Context(), message, d, Timing{}); err != nil {
				t.Fatal(err)
			}
			for _, m := range meters[:50] {
				m.send(1)
			}
		}
		drain(t, s)
	}
	wantMeters(t, db, meters...)
	e := s.Status().Export
	if e.State != "dropping lines" || e.Refused != 200 || !strings.Contains(e.Reason, "already exists as type float") || !strings.Contains(e.Sample, "device=d50") {
		t.Errorf("status %+v", e)
	}
	letters, err := s.DeadLetters(0, 1000)
	if err != nil || len(letters) != 100 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	for i, l := range letters {
		if l.Device != "d50" || l.Lines != 2 || l.Seq != uint64(100+i) || l.Received.IsZero() || !strings.Contains(l.Text, "type conflict") || strings.Count(string(l.Message), "\n") != 2 {
			t.Fatalf("letter %+v", l)
		}
	}

	// Sent again too early, they stay; after the cause is mended, they go.
	if r, err := s.ReplayDeadLetters(t.Context(), nil); err != nil || r != (Replayed{Refused: 100}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	db.Exec("DROP MEASUREMENT meter")
	if r, err := s.ReplayDeadLetters(t.Context(), []uint64{letters[3].Position}); err != nil || r != (Replayed{Accepted: 1}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	if r, err := s.ReplayDeadLetters(t.Context(), nil); err != nil || r != (Replayed{Accepted: 99}) {
		t.Errorf("replayed %+v, %v", r, err)
	}
	if n := s.Status().DeadLetters; n != 0 {
		t.Errorf("%d letters are left", n)
	}
	if series := db.Exec(`SELECT count(v) FROM meter WHERE device = 'd50'`); number(series[0].Values[0][1]) != 200 {
		t.Errorf("replayed lines arrived as %v", series)
	}
}

// TestStates has a server refuse in every way, and then mend: each time the status says what is wrong, nothing is lost, and
// the export goes on by itself.
func TestStates(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	var mu sync.Mutex
	lines := map[string]bool{}
	good := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(string(body)) {
			lines[line] = true
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	defer server.Close()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	answer.Store(&good)
	s := exporting(t, Options{}, influx.Config{URL: server.URL, Timeout: 100 * time.Millisecond})
	register(t, s, "a")
	stop := run(t, s)
	defer func() { stop() }()
	a := newMeter(t, s, "a")
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		state  string
		words  string
	}{
		{"wrong token", status(401, `{"code":"unauthorized","message":"unauthorized access"}`), "paused", "unauthorized access"},
		{"wrong bucket", status(404, `{"code":"not found","message":"bucket not found"}`), "paused", "bucket not found"},
		{"captive portal", status(200, "<html><title>Login</title>"), "paused", "login page"},
		{"unavailable", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "0")
			status(503, `{"error":"later"}`)(w, r)
		}, "backing off", "later"},
		{"hanging", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
			<-r.Context().Done()
		}, "backing off", "no answer within 100ms"},
	} {
		answer.Store(&test.answer)
		a.send(10)
		eventually(t, test.name, func() bool {
			e := s.Status().Export
			return e.State == test.state && strings.Contains(e.Reason, test.words)
		})
		if e := s.Status().Export; e.NextTry.IsZero() || e.Since.IsZero() || e.Waiting.Entries == 0 {
			t.Errorf("%s: status %+v", test.name, e)
		}
		if alarms := fmt.Sprint(s.Status().Alarms); !strings.Contains(alarms, test.words) {
			t.Errorf("%s: alarms %s", test.name, alarms)
		}
		answer.Store(&good)
		drain(t, s)
		if e := s.Status(); e.Export.State != "reachable" || len(e.Alarms) != 0 {
			t.Errorf("%s: afterwards %+v, %v", test.name, e.Export, e.Alarms)
		}
	}
	// A proxy that lets little through needs no state: the batches get smaller.
	small := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 20_000 {
			status(413, "")(w, r)
			return
		}
		good(w, r)
	})
	answer.Store(&small)
	a.send(5000)
	drain(t, s)
	mu.Lock()
	defer mu.Unlock()
	if uint64(len(lines)) != a.seq || s.Status().DeadLetters != 0 {
		t.Errorf("%d lines arrived of %d, %d dead letters", len(lines), a.seq, s.Status().DeadLetters)
	}
}

// TestRetryAfterIsObeyed asks the gate.
func TestRetryAfterIsObeyed(t *testing.T) {
	g := gate{retryMin: time.Second, retryMax: 4 * time.Second, retryPaused: time.Hour}
	for i, want := range []time.Duration{1, 2, 4, 4} {
		if d := g.pause(&influx.Refusal{Verdict: influx.Retry}); d < want*time.Second/2 || d > want*time.Second {
			t.Errorf("pause %d is %v, want up to %v s", i, d, int(want))
		}
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Retry, RetryAfter: time.Minute}); d != time.Minute {
		t.Errorf("pause %v, want a minute", d)
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Retry, RetryAfter: math.MaxInt64}); d != retryAfterMax {
		t.Errorf("pause %v, want %v", d, retryAfterMax)
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Pause}); d != time.Hour {
		t.Errorf("pause %v, want an hour", d)
	}
}

// TestJournalLimitDropsOldest fills the journal during an outage: what has to go is in the books, and the rest arrives.
func TestJournalLimitDropsOldest(t *testing.T) {
	db := influxtest.Prepare(t)
	s := exporting(t, Options{JournalMaxBytes: 4 * testSegment}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := run(t, s)
	defer func() { stop() }()
	w := newWriter(t, s, 1)
	w.send(1) // the batch that is on its way meanwhile
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	if h := s.Status().Export.Horizon; !h.IsZero() {
		t.Errorf("horizon %v without a rate", h)
	}
	w.send(600)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.trim()
	s.export.sample()
	status := s.Status()
	if len(status.Gaps) != 1 || status.Gaps[0].Tail != exportName || status.Gaps[0].Last != status.Journal.First-1 || !strings.Contains(status.Gaps[0].Cause, "before they were exported") {
		t.Fatalf("gaps %+v, the journal begins at %d", status.Gaps, status.Journal.First)
	}
	e := status.Export
	if gap := status.Gaps[0]; e.Dropped != gap.Last-gap.First+1 {
		t.Errorf("%d entries dropped, gap %+v", e.Dropped, gap)
	}
	w.send(300)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
		t.Fatal(err)
	}
	s.trim()
	if gaps := s.Status().Gaps; len(gaps) != 1 || gaps[0].Last != s.journal.First()-1 {
		t.Errorf("the gap did not grow: %+v", gaps)
	}

	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	drain(t, s)
	dropped := s.Status().Export.Dropped
	series := db.Exec(`SELECT count(text) FROM meter`)
	// Besides frames, the dropped entries were the definition of the source in each dropped segment.
	lines := number(series[0].Values[0][1])
	if segments := uint64(901/60 + 1); lines+dropped < 901 || lines+dropped > 901+segments {
		t.Errorf("%d lines arrived, %d entries were dropped, 901 frames were sent", lines, dropped)
	}
}

// TestWhatWaitsIsKept opens the store without an export, as a command does: the journal must keep what waits.
func TestWhatWaitsIsKept(t *testing.T) {
	db := influxtest.Prepare(t)
	dir := t.TempDir()
	s := exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	register(t, s, "a")
	stop := run(t, s)
	w := newWriter(t, s, 1)
	w.send(299)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	w.send(1) // begins a segment
	stop()

	trimmed := func(forget bool) uint64 {
		s := open(t, Options{Dir: dir})
		stop := run(t, s)
		defer stop()
		if forget {
			if err := s.ForgetExport(); err != nil {
				t.Error(err)
			}
		}
		if err := s.tail.reach(t.Context(), s.journal.Next()); err != nil {
			t.Fatal(err)
		}
		if err := s.history.Load().Flush(true); err != nil {
			t.Fatal(err)
		}
		s.trim()
		if s.Status().Export != nil {
			t.Error("an export is reported where there is none")
		}
		return s.journal.First()
	}
	if first := trimmed(false); first != 1 {
		t.Errorf("the journal begins at %d, although everything waits", first)
	}
	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	s = exporting(t, Options{Dir: dir}, influx.Config{URL: db.URL})
	stop = run(t, s)
	drain(t, s)
	if err := s.history.Load().Flush(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hub.db to know it", func() bool {
		s.noteExported()
		return s.export.floor() >= s.journal.Segments()[0].Next
	})
	stop()
	if series := db.Exec(`SELECT count(text) FROM meter`); number(series[0].Values[0][1]) != 300 {
		t.Errorf("arrived: %v", series)
	}
	if first := trimmed(true); first == 1 {
		t.Error("the journal keeps what nobody waits for")
	}
}

// TestRemovedDevice is not exported any more.
func TestRemovedDevice(t *testing.T) {
	db := influxtest.Prepare(t)
	s := exporting(t, Options{}, influx.Config{URL: db.URL})
	register(t, s, "a", "b")
	stop := run(t, s)
	defer func() { stop() }()
	a, b := newMeter(t, s, "a"), newMeter(t, s, "b")
	a.send(1)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	a.send(1)
	b.send(10)
	if err := s.RemoveDevice("b"); err != nil {
		t.Fatal(err)
	}
	db.Run()
	db.Exec("CREATE DATABASE " + influxtest.Database)
	drain(t, s)
	if e := s.Status().Export; e.Removed != 10 || e.Lines != 2 {
		t.Errorf("status %+v", e)
	}
	wantMeters(t, db, a)
}

func TestHorizon(t *testing.T) {
	s := exporting(t, Options{JournalMaxBytes: 1 << 30}, influx.Config{URL: "http://127.0.0.1:1"})
	defer s.Close()
	now := time.Now()
	for _, test := range []struct {
		waiting Waiting
		rate    float64
		age     time.Duration
		want    time.Duration // from now; 0: never
	}{
		{Waiting{}, 0, 0, 0},
		{Waiting{}, 1 << 20, 0, 1024 * time.Second},
		{Waiting{Bytes: 1 << 29}, 1 << 20, 0, 512 * time.Second},
		{Waiting{Bytes: 2 << 30}, 1, 0, time.Nanosecond}, // now
		{Waiting{}, 1e-9, 0, 0},
		{Waiting{Oldest: now.Add(-time.Minute)}, 1 << 20, 10 * time.Minute, 9 * time.Minute},
		{Waiting{}, 0, 10 * time.Minute, 10 * time.Minute},
	} {
		s.opts.JournalMaxAge = test.age
		at := s.export.horizon(now, test.waiting, test.rate)
		if test.want == 0 != at.IsZero() || !at.IsZero() && at.Sub(now).Round(time.Second) != test.want.Round(time.Second) {
			t.Errorf("%+v at %v bytes/s: %v from now, want %v", test.waiting, test.rate, at.Sub(now), test.want)
		}
	}
}
