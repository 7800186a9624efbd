package export_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
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
	s := exporting(t, store.Options{}, influx.Config{URL: server.URL, Timeout: 100 * time.Millisecond})
	register(t, s, "a")
	stop := storetest.Run(t, s)
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

// TestServerAsksForAPause has a server that wants to be left alone for two seconds, which is longer than the export would
// wait by itself.
func TestServerAsksForAPause(t *testing.T) {
	const pause = 2 * time.Second
	var mu sync.Mutex
	var tries []time.Time
	lines := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if tries = append(tries, time.Now()); len(tries) == 1 {
			w.Header().Set("Retry-After", "2")
			http.Error(w, `{"error":"compacting"}`, http.StatusServiceUnavailable)
			return
		}
		for line := range strings.Lines(string(body)) {
			lines[line] = true
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	s := exporting(t, store.Options{}, influx.Config{URL: server.URL})
	register(t, s, "a")
	stop := storetest.Run(t, s)
	defer func() { stop() }()
	a := newMeter(t, s, "a")
	a.send(10)
	eventually(t, "the refusal", func() bool { return s.Status().Export.State == "backing off" })
	e := s.Status().Export
	if !strings.Contains(e.Reason, "compacting") || e.NextTry.Sub(e.Since) < pause || e.Waiting.Entries == 0 {
		t.Errorf("status %+v", e)
	}
	a.send(10) // not tried before
	drain(t, s)
	mu.Lock()
	defer mu.Unlock()
	if waited := tries[1].Sub(tries[0]); waited < pause {
		t.Errorf("tried again after %v, the server asked for %v", waited, pause)
	}
	if state := s.Status().Export.State; state != "reachable" || len(lines) != 20 {
		t.Errorf("%q, %d lines arrived", state, len(lines))
	}
}

// TestRealServerIsMended has the real server refuse a token, a user and a bucket, until each is put right there: the hub is
// not touched.
func TestRealServerIsMended(t *testing.T) {
	db := influxtest.StartWithPassword(t)
	db.Exec("CREATE USER reader WITH PASSWORD 'secret'")
	for _, test := range []struct {
		name          string
		token, bucket string
		words         []string
		mend          string
	}{
		{"wrong token", "hub:changed", influxtest.Database, []string{"the token is not accepted (401 Unauthorized)", "authorization failed"},
			"SET PASSWORD FOR hub = 'changed'"},
		{"no right to write", "reader:secret", influxtest.Database, []string{"the token may not write there (403 Forbidden)", `"reader" user is not authorized to write`},
			"GRANT WRITE ON telemetry TO reader"},
		{"wrong bucket", "hub:changed", "later", []string{"the bucket, database or organization is not there (404 Not Found)", `database not found: "later"`},
			"CREATE DATABASE later"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := exporting(t, store.Options{}, influx.Config{URL: db.URL, Token: test.token, Bucket: test.bucket})
			register(t, s, "a")
			stop := storetest.Run(t, s)
			defer func() { stop() }()
			a := newMeter(t, s, "a")
			a.send(100)
			eventually(t, "the refusal", func() bool { return s.Status().Export.State == "paused" })
			status := s.Status()
			e := status.Export
			for _, words := range test.words {
				if !strings.Contains(e.Reason, words) || !strings.Contains(fmt.Sprint(status.Alarms), words) {
					t.Errorf("%q does not say %q; alarms %v", e.Reason, words, status.Alarms)
				}
			}
			if e.NextTry.IsZero() || e.Waiting.Entries == 0 || strings.Contains(fmt.Sprint(status), "changed") || strings.Contains(fmt.Sprint(status), "secret") {
				t.Errorf("status %+v", e)
			}
			db.Exec(test.mend)
			if strings.HasPrefix(test.mend, "SET PASSWORD") {
				db.Token = test.token
			}
			a.send(100)
			drain(t, s)
			status = s.Status()
			if e := status.Export; e.State != "reachable" || e.Lines != 200 || len(status.Alarms) != 0 || status.DeadLetters != 0 {
				t.Errorf("afterwards %+v, %v", e, status.Alarms)
			}
			series := db.Exec(fmt.Sprintf("SELECT count(v), sum(v) FROM %q..meter WHERE device = 'a'", test.bucket))
			if len(series) != 1 || number(series[0].Values[0][1]) != a.seq || number(series[0].Values[0][2]) != a.sum {
				t.Errorf("arrived: %v", series)
			}
			db.Exec("DROP MEASUREMENT meter")
		})
	}
}

// TestLoggedOncePerState lets many attempts fail: the log has a line for each change of state, and none for attempts.
func TestLoggedOncePerState(t *testing.T) {
	script := []int{503, 503, 503, 503, 204, 204, 401, 401, 401, 404, 404, 204, 204} // after a failure one line goes ahead
	var tries atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := min(int(tries.Add(1)), len(script)) - 1
		w.Header().Set("X-Influxdb-Error", fmt.Sprintf("attempt %d", n))
		w.WriteHeader(script[n])
	}))
	defer server.Close()
	var out bytes.Buffer // read when nobody writes any more
	s := exporting(t, store.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}, influx.Config{URL: server.URL})
	s.Export.RetryDenied(5 * time.Millisecond)
	register(t, s, "a")
	stop := storetest.Run(t, s)
	a := newMeter(t, s, "a")
	a.send(1)
	drain(t, s)
	a.send(1)
	drain(t, s)
	stop()
	if n := tries.Load(); n != int64(len(script)) {
		t.Errorf("%d attempts, want %d", n, len(script))
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "about="+export.Name) {
			continue
		}
		_, attempt, _ := strings.Cut(strings.TrimRight(line, "\"\n"), "attempt ")
		got = append(got, strings.Fields(line)[1]+attempt)
	}
	if want := []string{"level=ERROR0", "level=INFO", "level=ERROR6", "level=ERROR9", "level=INFO"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q\n%s", got, want, &out)
	}
}
