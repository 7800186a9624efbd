package store

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

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
