package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// TestReadingsByPages reads what two devices have measured, page by page, in each form: together the pages are the whole.
func TestReadingsByPages(t *testing.T) {
	now, set := stoppedClock(noon)
	a := newAPI(t, rigOptions{clock: now})
	for _, id := range []string{"s", "u"} {
		s := newSensor(a, id)
		for i := range 5 {
			s.send(noon.Add(time.Duration(i/2)*time.Second), 2100+i, nil, 0.5, nil, "x") // two samples at the same moment
		}
	}
	set(noon.Add(time.Minute))
	a.commit()
	for _, form := range []string{"ndjson", "csv"} {
		query := "/readings." + form + "?device=s&device=u&channel=temperature&channel=power"
		lines := func(body []byte) []string {
			all := strings.Split(strings.TrimSpace(string(body)), "\n")
			if form == "csv" {
				all = all[1:]
			}
			return all
		}
		whole := lines(a.call("viewer", "GET", query, nil).wants(200, nil).body)
		if len(whole) != 20 {
			t.Fatalf("%d readings", len(whole))
		}
		for limit := 1; limit <= 21; limit++ {
			var got []string
			for next := query + fmt.Sprint("&limit=", limit); next != ""; {
				r := a.call("viewer", "GET", next, nil).wants(200, nil)
				got = append(got, lines(r.body)...)
				next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "</api/v1"), ">")
				if r.header.Get(api.CursorField) == "" {
					t.Fatal("no cursor")
				}
			}
			if strings.Join(got, "\n") != strings.Join(whole, "\n") {
				t.Errorf("%s by %d: %d readings\n%s", form, limit, len(got), strings.Join(got, "\n"))
			}
		}
	}
	// A device that is named twice is there once, or its pages would have no end.
	next := "/readings.ndjson?device=s&device=u&device=s&channel=power&limit=1"
	for got := 1; next != ""; got++ {
		r := a.call("viewer", "GET", next, nil).wants(200, nil)
		if next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "</api/v1"), ">"); got > 10 || next == "" && got < 10 {
			t.Fatalf("page %d, then %q", got, next)
		}
	}
	// Who follows goes on at the cursor of the last page, when there is more.
	r := a.call("viewer", "GET", "/readings.ndjson?device=s&limit=1000", nil).wants(200, nil)
	if r.header.Get("Link") != "" {
		t.Error("there is no more")
	}
	follow := "/readings.ndjson?device=s&limit=1000&cursor=" + url.QueryEscape(r.header.Get(api.CursorField))
	if r := a.call("viewer", "GET", follow, nil).wants(200, nil); len(r.body) > 0 {
		t.Errorf("once more: %s", r.body)
	}
	if r := a.call("viewer", "GET", "/readings.ndjson?device=s&device=none", nil).wants(404, nil); !strings.Contains(string(r.body), "no_device") {
		t.Errorf("%s", r.body)
	}
	for from, want := range map[string]int{"-1m": 15, "-59s": 9, "-58s": 3, "-1d": 15} {
		body := a.call("viewer", "GET", "/readings.ndjson?device=s&from="+from, nil).wants(200, nil).body
		if n := strings.Count(string(body), "\n"); n != want {
			t.Errorf("from %s: %d readings, want %d", from, n, want)
		}
	}
	r = a.call("viewer", "GET", "/readings.ndjson?device=s&from="+fmt.Sprint(noon.Unix()), nil).wants(400, nil)
	if !strings.Contains(string(r.body), "looks like seconds") {
		t.Errorf("seconds: %s", r.body)
	}
	lp := string(a.call("viewer", "GET", "/readings.lp?device=s", nil).wants(200, nil).body)
	if !strings.HasPrefix(lp, "telemetry,device=s ") || strings.Count(lp, "\n") != 5 {
		t.Errorf("line protocol: %s", lp)
	}
}

// TestExactIntegers has integers that a 64-bit float can't hold: they are written exactly.
func TestExactIntegers(t *testing.T) {
	a := newAPI(t, rigOptions{})
	s := newSensor(a, "s")
	s.send(time.Now().Add(-time.Second), int64(math.MaxInt64))
	a.commit()
	for _, form := range []string{"ndjson", "csv"} {
		if body := a.call("viewer", "GET", "/readings."+form+"?device=s", nil).wants(200, nil).body; !strings.Contains(string(body), "92233720368547758.07") {
			t.Errorf("%s", body)
		}
	}
}

// TestReadingsOverTheSocket has the trailer say what is wrong with what was sent.
func TestReadingsOverTheSocket(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	mux := http.NewServeMux()
	a.API().Register(mux, api.OnSocket)
	server := httptest.NewServer(mux)
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/v1/readings.ndjson?device=a&channel=none")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for resp.Body != nil {
		if _, err := resp.Body.Read(make([]byte, 100)); err != nil {
			break
		}
	}
	var p api.Problem
	if err := json.Unmarshal([]byte(resp.Trailer.Get(api.ErrorField)), &p); err != nil || p.Code != "no_channel" || p.Status != 404 {
		t.Errorf("%q: %v", resp.Trailer, err)
	}
	// That readings are missing is said, whatever else is.
	a.store.Outages.EnterGap(outages.Gap{First: 1, Last: 3, Cause: "damaged"})
	if r := a.call("viewer", "GET", "/readings.csv?device=a&channel=none", nil).wants(200, nil); !strings.Contains(string(r.body), "# ") {
		t.Errorf("%s", r.body)
	}
}

// Who goes away before the answer is no failure of the hub, which its log would tell.
func TestReadingsForNobody(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	var log strings.Builder
	mux := http.NewServeMux()
	api.New(api.Config{Store: a.store, Logger: slog.New(slog.NewTextHandler(&log, nil))}).Register(mux, func(*http.Request) (api.Caller, error) {
		return api.Caller{Identity: accounts.Identity{Name: "anna", Role: accounts.RoleViewer, Via: accounts.ViaSession}}, nil
	})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for _, query := range []string{"", "&limit=10"} {
		func() {
			defer func() {
				if reason := recover(); reason != http.ErrAbortHandler {
					t.Errorf("%s: %v", query, reason)
				}
			}()
			mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/api/v1/readings.csv?device=a"+query, nil))
		}()
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestLatest(t *testing.T) {
	a := newAPI(t, rigOptions{}, "b", "c")
	s := newSensor(a, "s")
	s.send(time.Now(), 2134)
	a.commit()
	var got api.Latest
	eventually(t, "the value is there", func() bool {
		got = api.Latest{}
		a.get("/latest?device=s&channel=temperature", &got)
		return len(got.Devices) == 1 && len(got.Devices[0].Values) == 1 && got.Devices[0].Values[0].Text == "21.34"
	})
	got = api.Latest{}
	a.get("/latest?limit=2", &got)
	if len(got.Devices) != 2 || got.Devices[0].ID != "b" || got.Next != "c" {
		t.Errorf("%+v", got)
	}
	got = api.Latest{}
	a.get("/latest?limit=2&cursor="+got.Next+"c", &got)
	if len(got.Devices) != 1 || got.Devices[0].ID != "s" || got.Next != "" {
		t.Errorf("%+v", got)
	}
	a.call("viewer", "GET", "/latest?device=none", nil).wants(404, nil)
	w := httptest.NewRecorder()
	mux := http.NewServeMux()
	api.New(api.Config{Store: a.store}).Register(mux, api.OnSocket)
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/latest", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no_hub") {
		t.Errorf("without a hub: %d %s", w.Code, w.Body)
	}
}
