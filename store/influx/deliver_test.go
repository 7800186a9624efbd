package influx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

// fleet appends one line of each device to a batch; the odd ones have text where the others have numbers.
func fleet(b *influx.Batch, devices int, odd map[int]bool, sample int64) {
	var e influx.Encoder
	for i := range devices {
		column := device.Column{ID: 1, Type: device.Float64, Bits: []uint64{math.Float64bits(float64(i))}}
		if odd[i] {
			column = device.Column{ID: 1, Type: device.String, Text: [][]byte{[]byte("text")}}
		}
		schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: column.Type}}}
		d := &device.Data{Seq: 1, Times: []int64{epoch.UnixMicro() + sample}, Columns: []device.Column{column}}
		e.Append(b, influx.NewSeries("m", fmt.Sprintf("device-%03d", i), nil, schema), d, 0)
	}
}

// counting is a proxy before a server that counts the requests.
func counting(t *testing.T, s *influxtest.Server) (address string, requests *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, requests
}

// TestBadLinesAreIsolated has some devices of many send text as a number: all other lines are written, and once the
// devices are known, one request more is all they cost.
func TestBadLinesAreIsolated(t *testing.T) {
	s := influxtest.Start(t)
	proxy, requests := counting(t, s)
	w := newWriter(t, influx.Config{URL: proxy})

	odd := map[int]bool{7: true, 8: true, 199: true}
	var b influx.Batch
	fleet(&b, 200, nil, 0) // settles the type
	rounds := []struct {
		odd         map[int]bool
		maxRequests int64
	}{{nil, 1}, {odd, 60}, {odd, 2}, {nil, 2}, {nil, 1}}
	for round, want := range rounds {
		b.Reset()
		for sample := range int64(10) {
			fleet(&b, 200, want.odd, int64(round)*1000+sample)
		}
		requests.Store(0)
		bad, err := w.Deliver(context.Background(), &b)
		if err != nil {
			t.Fatal(err)
		}
		devices := map[int]bool{}
		for _, l := range bad {
			devices[l.Line%200] = true
			if !strings.Contains(l.Text, "already exists as type float") || !strings.Contains(string(b.Line(l.Line)), `v="text"`) {
				t.Errorf("%q: %s", b.Line(l.Line), l.Text)
			}
		}
		if len(bad) != 10*len(want.odd) || !maps.Equal(devices, want.odd) && len(want.odd) > 0 {
			t.Errorf("round %d: %d bad lines of devices %v", round, len(bad), slices.Sorted(maps.Keys(devices)))
		}
		if n := requests.Load(); n > want.maxRequests {
			t.Errorf("round %d: %d requests, at most %d", round, n, want.maxRequests)
		}
	}
	// Of five rounds with 10 lines of each device, the odd ones lack two.
	got := row(t, s, `SELECT count(v) FROM m`)
	if n := fmt.Sprint(got["count"]); n != "9940" {
		t.Errorf("%s lines are there, want 9940", n)
	}
}

// TestSparseBadField has a field of a wrong type in every third line of a device: that these lines are alike keeps their
// isolation short.
func TestSparseBadField(t *testing.T) {
	s := influxtest.Start(t)
	proxy, requests := counting(t, s)
	w := newWriter(t, influx.Config{URL: proxy})
	// Types are settled for each shard, which is a week.
	if err := w.Write(t.Context(), fmt.Appendf(nil, "m,device=x state=1 %d\n", epoch.UnixNano())); err != nil {
		t.Fatal(err)
	}
	schema := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "v", Type: device.Int}, {ID: 2, Name: "state", Type: device.String}}}
	series := influx.NewSeries("m", "d", nil, schema)
	const samples = 300
	d := &device.Data{Seq: 1, Columns: []device.Column{{ID: 1, Type: device.Int}, {ID: 2, Type: device.String}}}
	for i := range samples {
		d.Times = append(d.Times, epoch.UnixMicro()+int64(i))
		d.Columns[0].Bits = append(d.Columns[0].Bits, uint64(i))
		d.Columns[1].Text = append(d.Columns[1].Text, []byte("on"))
		d.Columns[1].Present = append(d.Columns[1].Present, i%3 == 0)
	}
	var (
		e influx.Encoder
		b influx.Batch
	)
	fleet(&b, 100, nil, 0)
	e.Append(&b, series, d, 0)
	for round, most := range []int64{20, 4} {
		requests.Store(0)
		bad, err := w.Deliver(t.Context(), &b)
		if err != nil || len(bad) != samples/3 {
			t.Fatalf("%d lines refused, %v", len(bad), err)
		}
		for i, l := range bad {
			if l.Line != 100+3*i {
				t.Fatalf("line %d was refused: %s", l.Line, l.Text)
			}
		}
		if n := requests.Load(); n > most {
			t.Errorf("round %d: %d requests, at most %d", round, n, most)
		}
	}
	got := row(t, s, `SELECT count(v) FROM m`)
	if n := fmt.Sprint(got["count"]); n != fmt.Sprint(100+samples*2/3) {
		t.Errorf("%s lines are there", n)
	}
}

// TestTooLargeIsHalved sends through a proxy that lets little through.
func TestTooLargeIsHalved(t *testing.T) {
	var got []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 1000 || strings.Contains(string(body), "device-013") {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		got = append(got, body...)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	var b influx.Batch
	fleet(&b, 200, nil, 0)
	bad, err := newWriter(t, influx.Config{URL: s.URL}).Deliver(context.Background(), &b)
	if err != nil || len(bad) != 1 || bad[0].Line != 13 {
		t.Errorf("refused %v, %v", bad, err)
	}
	if n := strings.Count(string(got), "\n"); n != 199 {
		t.Errorf("%d lines arrived, want 199", n)
	}
}

// TestLimitIsFoundAgain has a server with a limit that later grows: writes stay near the limit there is.
func TestLimitIsFoundAgain(t *testing.T) {
	limit, refused := 100_000, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); int(n) > limit {
			refused++
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	w := newWriter(t, influx.Config{URL: s.URL})
	const wanted = 1_000_000
	smallest := wanted
	writes := func(n int) {
		t.Helper()
		refused = 0
		for range n {
			err := w.Write(t.Context(), make([]byte, min(wanted, w.MaxBytes())))
			if refusal, ok := errors.AsType[*influx.Refusal](err); err != nil && (!ok || refusal.Verdict != influx.TooLarge) {
				t.Fatal(err)
			}
			smallest = min(smallest, w.MaxBytes())
		}
	}
	writes(500)
	if refused > 14 || smallest < limit/3 || w.MaxBytes() > limit*11/10 {
		t.Errorf("%d of 500 writes were refused, down to %d bytes, now %d", refused, smallest, w.MaxBytes())
	}
	limit = 10 * wanted
	writes(500)
	if refused > 0 || w.MaxBytes() < wanted {
		t.Errorf("%d writes were refused, now %d bytes, want all of %d", refused, w.MaxBytes(), wanted)
	}
	writes(10)
	if grown := w.MaxBytes(); grown > wanted*11/10 {
		t.Errorf("%d bytes, more than are ever used", grown)
	}
}

// TestOutageWhileIsolating ends the delivery with an error and no verdict about lines.
func TestOutageWhileIsolating(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests < 4 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"partial write: one of them dropped=1"}`)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer s.Close()
	var b influx.Batch
	fleet(&b, 200, nil, 0)
	bad, err := newWriter(t, influx.Config{URL: s.URL}).Deliver(context.Background(), &b)
	refusal, ok := errors.AsType[*influx.Refusal](err)
	if len(bad) != 0 || !ok || refusal.Verdict != influx.Retry {
		t.Errorf("refused %v, %v", bad, err)
	}
}

// TestUnknownWordsAboutALine has a server that answers in words of its own to a request with a certain line, and another that
// answers so to every request: the first one refuses a line, the second one can't write.
func TestUnknownWordsAboutALine(t *testing.T) {
	for _, status := range []int{500, 501, 403, 405, 400, 422} {
		var b influx.Batch
		fleet(&b, 200, nil, 0)
		arrived, broken := map[string]bool{}, false
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if broken || strings.Contains(string(body), "device-013") {
				http.Error(w, "assertion failed", status)
				return
			}
			for line := range strings.Lines(string(body)) {
				arrived[line] = true
			}
			w.WriteHeader(http.StatusNoContent)
		}))
		w := newWriter(t, influx.Config{URL: s.URL})
		for round := range 2 {
			bad, err := w.Deliver(t.Context(), &b)
			for i := 0; round == 0 && err != nil && i < 10; i++ { // the line to try with was the bad one, by chance
				bad, err = w.Deliver(t.Context(), &b)
			}
			if err != nil || len(bad) != 1 || bad[0].Line != 13 || !strings.Contains(bad[0].Text, "assertion failed") || len(arrived) != 199 {
				t.Errorf("%d: refused %v, %v; %d lines arrived", status, bad, err, len(arrived))
			}
		}
		broken = true
		for range 3 {
			bad, err := w.Deliver(t.Context(), &b)
			if refusal, ok := errors.AsType[*influx.Refusal](err); len(bad) != 0 || !ok || refusal.Verdict == influx.BadLines {
				t.Errorf("%d, a broken server: refused %v, %v", status, bad, err)
			}
		}
		broken = false
		if bad, err := w.Deliver(t.Context(), &b); err == nil && len(bad) != 1 {
			t.Errorf("%d, mended: refused %v, %v", status, bad, err)
		}
		s.Close()
	}
}

// TestOverloadIsNobodysFault has a server that is busy half of the time: no line is blamed.
func TestOverloadIsNobodysFault(t *testing.T) {
	for _, status := range []int{408, 429, 502, 503, 504} {
		requests := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if requests++; requests%2 == 1 {
				http.Error(w, "busy", status)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}))
		var b influx.Batch
		fleet(&b, 20, nil, 0)
		w := newWriter(t, influx.Config{URL: s.URL})
		bad, err := w.Deliver(t.Context(), &b)
		if refusal, ok := errors.AsType[*influx.Refusal](err); len(bad) != 0 || !ok || refusal.Verdict != influx.Retry {
			t.Errorf("%d: refused %v, %v", status, bad, err)
		}
		if bad, err = w.Deliver(t.Context(), &b); err != nil || len(bad) != 0 {
			t.Errorf("%d: refused %v, %v", status, bad, err)
		}
		s.Close()
	}
}
