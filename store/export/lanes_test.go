package export_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestNewestFirst lets a backlog drain slowly: what comes in meanwhile arrives at once all the same.
func TestNewestFirst(t *testing.T) {
	db := influxtest.Start(t)
	dir := t.TempDir()
	s := exporting(t, store.Options{Dir: dir}, influx.Config{URL: "http://127.0.0.1:1"}) // nobody is there
	register(t, s, "a", "b")
	stop := storetest.Run(t, s)
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
	s = exporting(t, store.Options{Dir: dir}, influx.Config{URL: proxy.URL})
	stop = storetest.Run(t, s)
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
	s := exporting(t, store.Options{Now: func() time.Time { return time.Unix(0, now.Load()) }}, influx.Config{URL: server.URL})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	a := newMeter(t, s, "a")
	a.send(1)
	eventually(t, "the outage", func() bool { return s.Status().Export.State == "backing off" })
	a.send(1000)
	eventually(t, "a commit", func() bool { return end(s) > 1000 })
	now.Add(int64(time.Hour))
	down.Store(false)
	drain(t, s)
	if live, next := s.Export.Live(), end(s); live != next {
		t.Errorf("the live lane is at %d, the journal at %d", live, next)
	}
	mu.Lock()
	defer mu.Unlock()
	lines := map[string]bool{} // the line that found the server back comes again with its batch
	for line := range strings.Lines(strings.Join(order, "")) {
		lines[line] = true
	}
	if len(lines) != 1001 {
		t.Errorf("%d lines arrived, want 1001", len(lines))
	}
}
