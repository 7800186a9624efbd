package api

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Seconds since 1970 are not taken for ms: that would be 1970, and an empty answer that looks right.
func TestSecondsAreRefused(t *testing.T) {
	modern, noClock := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), time.UnixMilli(3_600_000)
	for _, c := range []struct {
		text string
		now  time.Time
		want int64 // ms; below 0: refused
	}{
		{"1777636800", modern, -1}, {"1777636800000", modern, 1777636800000}, {"0", modern, 0}, {"1", modern, -1},
		{"1973-01-01T00:00:00Z", modern, 94694400000}, {"1777636800000000", modern, -1}, {"-1", modern, -1},
		{"3600000", noClock, 3600000}, {"1777636800000", noClock, 1777636800000},
	} {
		q := &query{values: url.Values{"from": {c.text}}}
		got := q.moment("from", c.now)
		if err := q.end(); (err != nil) != (c.want < 0) || err == nil && got.UnixMilli() != c.want {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
	q := &query{values: url.Values{"from": {"1777636800"}}}
	if q.moment("from", modern); q.err == nil || !strings.Contains(q.err.Error(), "1777636800000") || !strings.Contains(q.err.Error(), "2026-05-01T12:00:00Z") {
		t.Errorf("the refusal does not say what to write: %v", q.err)
	}
}

// FuzzQuery reads anything as the parameters of GET /devices/{id}/readings.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "from=1&to=2", "from=2026-01-31T12:00:00Z", "from=2026-01-31T12:00:00.123456789%2B09:00", "from=-1", "from=9e99", "points=5000",
		"points=+5", "channel=a&channel=b", "channel=%00", "all=true", "all=maybe", "%zz", "a;b", "from=0001-01-01T00:00:00Z", "to=253402300799999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/", RawQuery: text}
		q := readQuery(r)
		from, points := q.moment("from", time.UnixMilli(leastMillis)), q.number("points", 7, 1, 5000)
		channels, all := q.texts("channel", 2), q.yes("all")
		if q.end() != nil {
			return
		}
		if !from.IsZero() && (from.Before(time.Unix(0, 0)) || from.Year() > 9999) {
			t.Errorf("from %v", from)
		}
		if points < 1 || points > 5000 || len(channels) > 2 || all && r.FormValue("all") != "true" {
			t.Errorf("points %d, channels %q, all %v", points, channels, all)
		}
		for _, c := range channels {
			if len(c) > MaxParameter {
				t.Errorf("a channel of %d bytes", len(c))
			}
		}
	})
}
