package dashboard

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

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
		from, points := q.moment("from"), q.number("points", 7, 1, 5000)
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
			if len(c) > maxParameter {
				t.Errorf("a channel of %d bytes", len(c))
			}
		}
	})
}
