package influx_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

func TestCheck(t *testing.T) {
	s := influxtest.StartWithPassword(t)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	noFlux := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/query" {
			http.Error(w, `{"error":"Flux query service disabled."}`, http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer noFlux.Close()
	writeOnly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/write" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer writeOnly.Close()
	base := influx.Config{URL: s.URL, Bucket: influxtest.Database, Token: s.Token}
	tests := []struct {
		name     string
		change   func(*influx.Config)
		language string // empty: an error
		words    string
	}{
		{"Flux", func(*influx.Config) {}, "Flux", ""},
		{"with retention policy", func(c *influx.Config) { c.Bucket += "/autogen" }, "Flux", ""},
		{"InfluxQL", func(c *influx.Config) { c.URL = noFlux.URL }, "InfluxQL", ""},
		{"write only", func(c *influx.Config) { c.URL = writeOnly.URL }, "", "a point was written, but could not be read back"},
		{"wrong token", func(c *influx.Config) { c.Token = "hub:wrong" }, "", "the token is not accepted"},
		{"wrong bucket", func(c *influx.Config) { c.Bucket = "nothing" }, "", "the bucket, database or organization is not there"},
		{"wrong port", func(c *influx.Config) { c.URL = "http://127.0.0.1:1" }, "", "connection refused"},
		{"no URL", func(c *influx.Config) { c.URL = "" }, "", "has to be like"},
	}
	for _, test := range tests {
		c := base
		test.change(&c)
		language, err := influx.Check(t.Context(), c, time.Now())
		switch {
		case err == nil && language != test.language:
			t.Errorf("%s: read back with %q", test.name, language)
		case err != nil && (test.language != "" || !strings.Contains(err.Error(), test.words)):
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
