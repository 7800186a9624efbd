package influx_test

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/influx/influxtest"
)

// answering is a server that gives every request the same answer.
func answering(t *testing.T, status int, header http.Header, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func write(t *testing.T, c influx.Config, lines string) *influx.Refusal {
	t.Helper()
	err := newWriter(t, c).Write(context.Background(), []byte(lines))
	if err == nil {
		return &influx.Refusal{}
	}
	refusal, ok := errors.AsType[*influx.Refusal](err)
	if !ok {
		t.Fatalf("error %v (%T)", err, err)
	}
	return refusal
}

func TestVerdicts(t *testing.T) {
	contentType := func(v string) http.Header { return http.Header{"Content-Type": {v}} }
	json := contentType("application/json; charset=utf-8")
	page := contentType("text/html")
	tests := []struct {
		name    string
		status  int
		header  http.Header
		body    string
		verdict influx.Verdict // 0: success
		dropped int
		words   []string // in the text
	}{
		{"written", 204, nil, "", 0, 0, nil},
		{"captive portal", 200, page, "<html><head><title>Welcome to\nthe hotel</title>", influx.Pause, 0, []string{"200 OK", "Welcome to", "login page"}},
		{"empty success", 200, nil, "", influx.Pause, 0, []string{"200 OK"}},
		{"moved", 302, http.Header{"Location": {"https://login.example/?a"}}, "", influx.Pause, 0, []string{"302 Found to https://login.example/?a"}},
		{"moved for good", 308, http.Header{"Location": {"/influx"}}, "", influx.Pause, 0, []string{"308"}},
		{"v2 token", 401, json, `{"code":"unauthorized","message":"unauthorized access"}`, influx.Pause, 0, []string{"token", "unauthorized access"}},
		{"v1 token", 401, http.Header{"X-Influxdb-Error": {"authorization failed"}}, `{"error":"authorization failed"}`, influx.Pause, 0, []string{"token", "authorization failed"}},
		{"forbidden", 403, json, `{"code":"forbidden","message":"insufficient permissions"}`, influx.Pause, 0, []string{"insufficient permissions"}},
		{"no bucket", 404, json, `{"code":"not found","message":"bucket \"x\" not found"}`, influx.Pause, 0, []string{"bucket", `"x" not found`}},
		{"another server", 404, nil, "404 page not found\n", influx.Pause, 0, []string{"not how InfluxDB answers", "404 page not found"}},
		{"https wanted", 400, nil, "Client sent an HTTP request to an HTTPS server.\n", influx.Pause, 0, []string{"HTTPS server"}},
		{"about the request", 400, json, `{"error":"database is required"}`, influx.Pause, 0, []string{"database is required"}},
		{"about a name", 400, json, `{"code":"invalid","message":"organization \"pipeline-endpoints\" is not valid"}`, influx.Pause, 0, []string{"pipeline-endpoints"}},
		{"v1 conflict", 400, json, `{"error":"partial write: field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float dropped=3"}`, influx.BadLines, 3, []string{"already exists as type float"}},
		{"v2 syntax", 400, json, `{"code":"invalid","message":"unable to parse 'm': missing fields","op":"write","err":"x","line":7}`, influx.BadLines, 0, []string{"missing fields"}},
		{"v2 conflict", 422, json, `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: … dropped=2"}`, influx.BadLines, 2, []string{"field type conflict"}},
		{"v3 partial", 400, json, `{"error":"partial write of line protocol occurred","data":[{"original_line":"m","line_number":2,"error_message":"invalid column type"},{"original_line":"n","line_number":5,"error_message":"no"}]}`, influx.BadLines, 0, []string{"line 2: invalid column type", "and 1 more"}},
		{"v3 syntax", 400, json, `{"error":"parsing failed for write_lp endpoint","data":{"original_line":"m","line_number":1,"error_message":"No fields were provided"}}`, influx.BadLines, 0, []string{"No fields were provided"}},
		{"v2.0 too old", 500, json, `{"code":"internal error","message":"unexpected error writing points to database: partial write: points beyond retention policy dropped=500"}`, influx.BadLines, 500, []string{"beyond retention policy"}},
		{"v2.7 too old", 422, json, `{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped 3 points outside retention policy of duration 24h0m0s - oldest point ` + strings.Repeat("m,device=d", 60) + ` dropped=3 for database: x"}`, influx.BadLines, 3, []string{"outside retention policy"}},
		{"too old behind a proxy", 503, json, `{"error":"partial write: points beyond retention policy dropped=1"}`, influx.BadLines, 1, nil},
		{"v2.0 syntax", 500, json, `{"code":"internal error","message":"unable to parse 'm v=': missing field value"}`, influx.BadLines, 0, nil},
		{"v1 too many series", 400, json, `{"error":"partial write: max-series-per-database limit exceeded: (1000) dropped=7"}`, influx.BadLines, 7, nil},
		{"v3 too many columns", 422, json, `{"error":"Update to schema would exceed number of columns per table limit of 500 columns"}`, influx.BadLines, 0, nil},
		{"v3 too many databases", 422, json, `{"error":"Adding a new database would exceed limit of 5 databases"}`, influx.Pause, 0, []string{"limit of 5"}},
		{"v1 no policy", 500, json, `{"error":"retention policy not found: weekly"}`, influx.Pause, 0, []string{"is not there", "weekly"}},
		{"v2 no database", 500, json, `{"code":"internal error","message":"unexpected error writing points to database: database not found: 0a"}`, influx.Pause, 0, []string{"is not there"}},
		{"v2 full disk", 500, json, `{"code":"internal error","message":"unexpected error writing points to database: [shard 7] write points: no space left on device"}`, influx.Retry, 0, []string{"no space left"}},
		{"words in a page", 500, page, "<title>partial write</title>", influx.Retry, 0, nil},
		{"too large", 413, page, "<html><h1>413 Request Entity Too Large</h1>", influx.TooLarge, 0, []string{"413", "a web page"}},
		{"busy", 503, nil, "hinted handoff queue not empty", influx.Retry, 0, []string{"503", "hinted handoff"}},
		{"too many", 429, nil, "", influx.Retry, 0, []string{"429"}},
		{"v1 timeout", 500, json, `{"error":"timeout"}`, influx.Retry, 0, []string{"timeout"}},
		{"gateway", 502, page, "<html>", influx.Retry, 0, []string{"502"}},
		{"request timeout", 408, nil, "", influx.Retry, 0, []string{"408"}},
		{"control characters", 500, nil, "a\x1b[31m\nb\xff" + strings.Repeat("long ", 1000), influx.Retry, 0, []string{"a [31m b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := write(t, influx.Config{URL: answering(t, test.status, test.header, test.body)}, "m v=1 1\n")
			if got.Verdict != test.verdict || got.Dropped != test.dropped {
				t.Errorf("verdict %d, dropped %d; want %d, %d (%s)", got.Verdict, got.Dropped, test.verdict, test.dropped, got.Text)
			}
			for _, words := range test.words {
				if !strings.Contains(got.Text, words) {
					t.Errorf("%q does not say %q", got.Text, words)
				}
			}
			if strings.ContainsAny(got.Text, "\n\x1b") || len(got.Text) > 1000 {
				t.Errorf("not one harmless line: %q", got.Text)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		value    string
		from, to time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat), 60 * time.Second, 90 * time.Second},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		{"soon", 0, 0},
		{"-3", 0, 0},
	} {
		got := write(t, influx.Config{URL: answering(t, 503, http.Header{"Retry-After": {test.value}}, "")}, "m v=1 1\n")
		if got.Verdict != influx.Retry || got.RetryAfter < test.from || got.RetryAfter > test.to {
			t.Errorf("%q: wait %v, want %v to %v", test.value, got.RetryAfter, test.from, test.to)
		}
	}
}

// TestNoAnswer names what stands in the way of an answer.
func TestNoAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	tests := []struct {
		name, url string
		timeout   time.Duration
		words     string
	}{
		{"hanging", "http://" + silent.Addr().String(), 100 * time.Millisecond, "no answer within 100ms"},
		{"nobody there", "http://" + closed.Addr().String(), time.Minute, "connection refused"},
		{"unknown certificate", tlsServer.URL, time.Minute, "certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := write(t, influx.Config{URL: test.url, Timeout: test.timeout, Token: "a secret"}, "m v=1 1\n")
			if got.Verdict != influx.Retry || got.Status != 0 || !strings.Contains(got.Text, test.words) || strings.Contains(got.Text, "secret") {
				t.Errorf("verdict %d, status %d, %q", got.Verdict, got.Status, got.Text)
			}
		})
	}
}

func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("the reason")
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(reason); <-release }))
	defer s.Close()
	defer close(release)
	if err := newWriter(t, influx.Config{URL: s.URL}).Write(ctx, []byte("m v=1 1\n")); !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
}

// TestRequest looks at what goes over the wire.
func TestRequest(t *testing.T) {
	const lines = "m v=1 1\nm v=2 2\n"
	for _, zip := range []bool{false, true} {
		var got *http.Request
		var body []byte
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			in := io.Reader(r.Body)
			if r.Header.Get("Content-Encoding") == "gzip" {
				in, _ = gzip.NewReader(r.Body)
			}
			body, _ = io.ReadAll(in)
			w.WriteHeader(http.StatusNoContent)
		}))
		defer s.Close()
		w := newWriter(t, influx.Config{URL: s.URL + "/behind/a/proxy", Org: "my org", Bucket: "db/rp", Token: "user:pass word", Gzip: &zip})
		for range 2 { // the second with a used compressor
			if err := w.Write(context.Background(), []byte(lines)); err != nil {
				t.Fatal(err)
			}
			if want := "/behind/a/proxy/api/v2/write?bucket=db%2Frp&org=my+org&precision=ns"; got.RequestURI != want {
				t.Errorf("URI %s, want %s", got.RequestURI, want)
			}
			length, _ := strconv.Atoi(got.Header.Get("Content-Length"))
			if got.Header.Get("Authorization") != "Token user:pass word" || got.ContentLength <= 0 || length != int(got.ContentLength) {
				t.Errorf("headers %v, length %d", got.Header, got.ContentLength)
			}
			if string(body) != lines || zip != (got.Header.Get("Content-Encoding") == "gzip") {
				t.Errorf("gzip %v: body %q, headers %v", zip, body, got.Header)
			}
		}
	}
}

// TestMarkedCertificates trusts certificates in a file as Windows writes it.
func TestMarkedCertificates(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := append([]byte("\ufeff"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := write(t, influx.Config{URL: s.URL, CA: file}, "m v=1 1\n"); r.Text != "" {
		t.Error(r.Text)
	}
}

func TestConfigs(t *testing.T) {
	for _, test := range []struct {
		config influx.Config
		words  string // empty: fine
	}{
		{influx.Config{URL: "http://127.0.0.1:8086", Bucket: "b"}, ""},
		{influx.Config{URL: "https://influx.example/path/", Bucket: "b"}, ""},
		{influx.Config{URL: "127.0.0.1:8086", Bucket: "b"}, "can't be read"},
		{influx.Config{URL: "localhost", Bucket: "b"}, "has to be like"},
		{influx.Config{URL: "ftp://x", Bucket: "b"}, "has to be like"},
		{influx.Config{URL: "http://user:secret@x", Bucket: "b"}, "no user"},
		{influx.Config{URL: "http://x/?token=secret", Bucket: "b"}, "no user"},
		{influx.Config{URL: "http://x"}, "no bucket"},
		{influx.Config{URL: "http://x", Bucket: "b", Token: "two\nlines"}, "more than one line"},
		{influx.Config{URL: "https://x", Bucket: "b", CA: "/does/not/exist"}, "no such file"},
	} {
		w, err := influx.NewWriter(test.config)
		switch {
		case err == nil:
			w.Close()
			if test.words != "" {
				t.Errorf("%+v: accepted", test.config)
			}
		case test.words == "" || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%+v: %v", test.config, err)
		}
	}
}

// TestRealRefusals has the real server say the things the verdicts are read from.
func TestRealRefusals(t *testing.T) {
	s := influxtest.StartWithPassword(t)
	s.Exec("CREATE RETENTION POLICY hour ON " + influxtest.Database + " DURATION 1h REPLICATION 1")
	base := influx.Config{URL: s.URL, Bucket: influxtest.Database, Token: s.Token}
	tests := []struct {
		name    string
		change  func(*influx.Config)
		lines   string
		verdict influx.Verdict
		dropped int
		words   string
	}{
		{"fine", func(*influx.Config) {}, "m v=1 1\n", 0, 0, ""},
		{"with retention policy", func(c *influx.Config) { c.Bucket += "/autogen" }, "m v=1 2\n", 0, 0, ""},
		{"compressed", func(c *influx.Config) { c.Gzip = new(bool); *c.Gzip = true }, "m v=1 3\n", 0, 0, ""},
		{"no token", func(c *influx.Config) { c.Token = "" }, "m v=1 1\n", influx.Pause, 0, "token"},
		{"wrong token", func(c *influx.Config) { c.Token = "hub:wrong" }, "m v=1 1\n", influx.Pause, 0, "authorization failed"},
		{"wrong bucket", func(c *influx.Config) { c.Bucket = "nothing" }, "m v=1 1\n", influx.Pause, 0, `database not found: "nothing"`},
		{"wrong policy", func(c *influx.Config) { c.Bucket += "/nothing" }, "m v=1 1\n", influx.Pause, 0, "retention policy not found"},
		{"too old", func(c *influx.Config) { c.Bucket += "/hour" }, fmt.Sprintf("m v=1 1\nm v=2 %d\n", time.Now().UnixNano()), influx.BadLines, 1, "beyond retention policy"},
		{"conflict", func(*influx.Config) {}, "m v=\"text\" 4\nm v=5 5\n", influx.BadLines, 1, "already exists as type float"},
		{"syntax", func(*influx.Config) {}, "m v= 6\n", influx.BadLines, 0, "missing field value"},
	}
	for _, test := range tests {
		c := base
		test.change(&c)
		got := write(t, c, test.lines)
		if got.Verdict != test.verdict || got.Dropped != test.dropped || !strings.Contains(got.Text, test.words) {
			t.Errorf("%s: verdict %d, dropped %d, %q", test.name, got.Verdict, got.Dropped, got.Text)
		}
	}
}
