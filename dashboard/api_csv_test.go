package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func TestDownload(t *testing.T) {
	now, set := stoppedClock(noon)
	a := newAPI(t, rigOptions{clock: now})
	s := newSensor(a, "s")
	s.send(noon, 2134, nil, 1.5, 1, `say "hi", now`)
	s.send(noon.Add(time.Second), -5, nil, nil, nil, "=cmd()")
	s.send(noon.Add(2*time.Second), nil, nil, nil, nil, "x;=cmd()\n\x1b[2J\u202e")
	set(noon.Add(time.Minute))
	a.commit()
	r := a.call("viewer", "GET", "/readings.csv?device=s", nil).wants(200, nil)
	want := `time,device,channel,value,unit,time_quality
2026-05-01T12:00:00.000000Z,s,temperature,21.34,Cel,
2026-05-01T12:00:00.000000Z,s,power,1.5,W,
2026-05-01T12:00:00.000000Z,s,open,true,,
2026-05-01T12:00:00.000000Z,s,'=state,"say ""hi"", now",,
2026-05-01T12:00:01.000000Z,s,temperature,-0.05,Cel,
2026-05-01T12:00:01.000000Z,s,'=state,'=cmd(),,
2026-05-01T12:00:02.000000Z,s,'=state,"x;'=cmd()
\x1b[2J\u202e",,
`
	if string(r.body) != want {
		t.Errorf("got\n%s\nwant\n%s", r.body, want)
	}
	if got := r.header.Get("Content-Disposition"); got != `attachment; filename="s.csv"` {
		t.Errorf("the file is %q", got)
	}
	for query, rows := range map[string]int{"&channel=1": 2, "&channel=1&channel=open": 3, "&channel=none": 0, "&from=2026-05-01T12:00:01Z": 4, "&to=2026-05-01T12:00:01Z": 4} {
		r := a.call("viewer", "GET", "/readings.csv?device=s"+query, nil).wants(200, nil)
		if n := strings.Count(string(r.body), "\n") - 1; n != rows {
			t.Errorf("%s: %d rows, want %d", query, n, rows)
		}
	}
}

// TestDownloads has readers that stop reading: they take no more than their places.
func TestDownloads(t *testing.T) {
	t.Parallel()
	a := newAPI(t, rigOptions{})
	fillDownload(a)
	var readers []io.ReadCloser
	get := func(key string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+a.addr+"/api/v1/readings.csv?device=s", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Accept-Encoding", "identity") // compressed, it is over when it is in the buffers of the connection
		resp, err := a.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, resp.Body)
		return resp
	}
	defer func() {
		for _, r := range readers {
			_ = r.Close()
		}
	}()
	for range api.MaxDownloadsOfOne {
		if resp := get(a.key); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	for range (api.MaxDownloads - api.MaxDownloadsOfOne) / api.MaxDownloadsOfOne { // others find places all the same
		key := a.keyOf(rand.Text(), accounts.RoleViewer)
		for range api.MaxDownloadsOfOne {
			if resp := get(key); resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status)
			}
		}
	}
	if resp := get(a.keyOf("late", accounts.RoleViewer)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more than there are places: %s", resp.Status)
	}
	if resp := get(a.key); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more download: %s", resp.Status)
	}
	// One that goes away makes room.
	_ = readers[0].Close()
	var whole *http.Response
	eventually(t, "room for another download", func() bool {
		whole = get(a.key)
		return whole.StatusCode == http.StatusOK
	})
	b, err := io.ReadAll(whole.Body)
	if rows := bytes.Count(b, []byte("\n")) - 1; err != nil || rows != 400*1024 {
		t.Errorf("%d rows: %v", rows, err)
	}
}

// fillDownload makes a device with 25 MB of readings as CSV.
func fillDownload(a *apiRig) {
	s := newSensor(a, "s")
	d := &device.Data{Times: make([]int64, 1024), Columns: []device.Column{{ID: 1, Type: device.Int, Bits: make([]uint64, 1024)}}}
	for range 400 {
		for i := range d.Times {
			d.Times[i] = noon.UnixMicro() + (int64(s.seq)*1024+int64(i))*1000
		}
		s.seq++
		d.Seq = s.seq
		s.frame(d)
	}
	a.commit()
}

// endingWriter calls end with the third write.
type endingWriter struct {
	http.ResponseWriter
	writes int
	end    func()
}

func (w *endingWriter) Write(b []byte) (int, error) {
	if w.writes++; w.writes == 3 {
		w.end()
	}
	return w.ResponseWriter.Write(b)
}

// TestDownloadBreaksOff has readings fail in the middle of a download, and before it has begun: a part never looks like all.
func TestDownloadBreaksOff(t *testing.T) {
	a := newAPI(t, rigOptions{})
	fillDownload(a)
	mux := http.NewServeMux()
	a.api.Register(mux, func(*http.Request) (api.Caller, error) {
		return api.Caller{Identity: accounts.Identity{Role: accounts.RoleViewer}}, nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		end := func() { cancel(store.ErrClosed) }
		if r.URL.Query().Has("early") {
			end()
		}
		r.URL.RawQuery = "device=s"
		mux.ServeHTTP(&endingWriter{ResponseWriter: w, end: end}, r.WithContext(ctx))
	}))
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/v1/readings.csv?x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil || len(b) == 0 {
		t.Errorf("%d bytes look like all", len(b))
	}
	early, err := http.Get(server.URL + "/api/v1/readings.csv?early")
	if err != nil {
		t.Fatal(err)
	}
	defer early.Body.Close()
	if early.StatusCode != http.StatusServiceUnavailable || early.Header.Get("Content-Disposition") != "" {
		t.Errorf("before it has begun: %s", early.Status)
	}
}
