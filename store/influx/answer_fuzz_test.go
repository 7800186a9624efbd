package influx

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzJudge has servers, and whatever answers in their place, say anything: the verdict is one of those there are, and its
// text is one harmless line.
func FuzzJudge(f *testing.F) {
	for _, body := range []string{
		``, `{"error":"partial write: field type conflict dropped=3"}`, `{"code":"invalid","message":"unable to parse 'm': missing fields"}`,
		`{"error":"partial write of line protocol occurred","data":[{"line_number":2,"error_message":"no"},{}]}`,
		`{"error":"parsing failed","data":{"line_number":1,"error_message":"No fields were provided"}}`,
		"<html><head><title>Welcome to\nthe hotel</title>", "dropped=99999999999999999999", "a\x1b[31m\xff\u202e",
	} {
		for _, status := range []uint16{200, 204, 302, 400, 401, 404, 413, 422, 429, 503} {
			f.Add(status, "7", "/elsewhere", "timeout", "text/html", body)
		}
	}
	f.Add(uint16(400), "", strings.Repeat("\xffa", maxWords), strings.Repeat("\xff", maxWords), "", "")
	f.Add(uint16(503), "Wed, 21 Oct 2015 07:28:00 GMT", "", "", "", "")
	now := time.Date(2015, 10, 21, 7, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status uint16, retryAfter, location, words, contentType, body string) {
		resp := &http.Response{StatusCode: int(status), Header: http.Header{
			"Retry-After": {retryAfter}, "Location": {location}, "X-Influxdb-Error": {words}, "Content-Type": {contentType},
		}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
		r := judge(resp, now)
		if (r == nil) != (status == http.StatusNoContent) {
			t.Fatalf("%d: %+v", status, r)
		}
		if r == nil {
			return
		}
		if r.Verdict < Retry || r.Verdict > BadLines || r.Status != int(status) || r.RetryAfter < 0 || r.Dropped < 0 {
			t.Errorf("%+v", r)
		}
		if r.RetryAfter > 0 && r.Verdict != Retry {
			t.Errorf("%v asked for, verdict %d", r.RetryAfter, r.Verdict)
		}
		unprintable := func(c rune) bool { return !unicode.IsPrint(c) }
		if r.Text == "" || len(r.Text) > 2*maxWords+200 || !utf8.ValidString(r.Text) || strings.ContainsFunc(r.Text, unprintable) {
			t.Errorf("%d bytes: %q", len(r.Text), r.Text)
		}
	})
}
