package influx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Verdict is what has to be done about an answer.
type Verdict uint8

const (
	Retry    Verdict = 1 // no answer, or one that passes by itself: the same again, later
	Pause    Verdict = 2 // nothing will be taken until somebody mends the configuration or the server
	TooLarge Verdict = 3 // fewer lines at once
	BadLines Verdict = 4 // some of the lines, or all of them
)

// Refusal is any outcome of a write but success.
type Refusal struct {
	Verdict    Verdict
	Status     int           // of HTTP; 0: no answer came
	Text       string        // what happened, with the server's words; one line
	RetryAfter time.Duration // what the server asked for; 0: nothing
	Dropped    int           // lines the server says it did not take; 0: it doesn't say
	unclear    bool          // the words don't say whether it is about these lines or about all
	err        error
}

func (r *Refusal) Error() string { return r.Text }

func (r *Refusal) Unwrap() error { return r.err }

const (
	maxAnswer = 64 << 10 // bytes that are read of an answer
	maxWords  = 500      // bytes of it that are repeated
)

// judge reads the answer to a write. It returns nil for success, which is 204 and nothing else: a login page in between
// answers 200 to everything.
//
// What InfluxDB says counts for more than the status: 2.0 answers 500 to points that are too old, 1.8 to a retention
// policy that is not there.
func judge(resp *http.Response, now time.Time) *Refusal {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what could be read has to do
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	said, ours := serverWords(resp.Header, body)
	words := oneLine(said)
	r := &Refusal{Status: resp.StatusCode}
	code := resp.StatusCode
	malformed := code == http.StatusBadRequest || code == http.StatusUnprocessableEntity
	switch {
	case code == http.StatusUnauthorized:
		r.Verdict, r.Text = Pause, "the token is not accepted"
	case ours && (refusedLines.MatchString(said) || malformed && aboutLines.MatchString(said)):
		r.Verdict, r.Text, r.Dropped = BadLines, "lines are refused", droppedLines(said)
	case code == http.StatusForbidden:
		r.Verdict, r.Text, r.unclear = Pause, "the token may not write there", !ours
	case ours && (code == http.StatusNotFound || notThere.MatchString(said)):
		r.Verdict, r.Text = Pause, "the bucket, database or organization is not there"
	case code == http.StatusRequestEntityTooLarge:
		r.Verdict, r.Text = TooLarge, "the batch is too large"
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		r.Verdict, r.Text, r.RetryAfter = Retry, "the server can't write at the moment", retryAfter(resp.Header.Get("Retry-After"), now)
		r.unclear = !comesBack(code) && r.RetryAfter == 0
	case ours && code >= 400:
		r.Verdict, r.Text, r.unclear = Pause, "InfluxDB refuses the request", true
	default:
		r.Verdict, r.Text = Pause, "that is not how InfluxDB answers: is the URL right, is there a proxy or a login page in between?"
		r.unclear = code >= 400
	}
	status := strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
	if location := resp.Header.Get("Location"); location != "" {
		status += " to " + oneLine(location)
	}
	r.Text += " (" + status + ")"
	if words != "" {
		r.Text += ": " + words
	}
	return r
}

// comesBack says whether a status means that the same request may succeed later.
func comesBack(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// serverWords returns the message of an answer, as it came. ours says that it has the form of InfluxDB's: 1.8 has {"error"} and
// the header X-Influxdb-Error, 2.x {"code","message"}, 3.x {"error","data":[{"error_message",…}]}.
func serverWords(h http.Header, body []byte) (words string, ours bool) {
	var v struct {
		Message string          `json:"message"`
		Error   string          `json:"error"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &v); err == nil && v.Message+v.Error != "" {
		words = v.Message
		if words == "" {
			words = v.Error
		}
		return words + lineErrors(v.Data), true
	}
	if words := h.Get("X-Influxdb-Error"); words != "" {
		return words, true
	}
	if t, _, _ := mime.ParseMediaType(h.Get("Content-Type")); t == "text/html" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		if m := htmlTitle.FindSubmatch(body); m != nil {
			return "a web page, " + strconv.Quote(strings.TrimSpace(string(m[1]))), false
		}
		return "a web page", false
	}
	return string(body), false
}

var htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// lineErrors renders the first of the line errors of 3.x.
func lineErrors(data json.RawMessage) string {
	type lineError struct {
		Message string `json:"error_message"`
		Number  int    `json:"line_number"`
	}
	var list []lineError
	if err := json.Unmarshal(data, &list); err != nil {
		var one lineError // a batch of which nothing was taken has a single object
		if err := json.Unmarshal(data, &one); err != nil || one.Message == "" {
			return ""
		}
		list = []lineError{one}
	}
	if len(list) == 0 {
		return ""
	}
	text := fmt.Sprintf(": line %d: %s", list[0].Number, list[0].Message)
	if n := len(list) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// refusedLines are words about lines, whatever the status: points that are too old, fields of another type, more series or
// columns than the server is set to have.
var refusedLines = regexp.MustCompile(`(?i)partial write|unable to parse|parsing( for line protocol)? failed|field type conflict|(beyond|outside) retention policy|` +
	`max-(series|values)-per-|exceed.* (columns|tables) `)

// aboutLines tells, in answers to malformed requests, complaints about lines from complaints about the request, "database is
// required" for one: after those every line there is would be taken for a bad one.
var aboutLines = regexp.MustCompile(`(?i)\b(pars(e|ing)|fields?|lines?|points?|time ?stamps?)\b`)

// notThere are words about the place to write to.
var notThere = regexp.MustCompile(`(?i)\b(retention policy|bucket|database|organization)\b.* (not found|does not exist)\b`)

var droppedCount = regexp.MustCompile(`\bdropped=(\d+)`)

// droppedLines reads how many lines were dropped, as 1.8 and 2.x say it of a partial write.
func droppedLines(words string) int {
	m := droppedCount.FindStringSubmatch(words)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// retryAfter reads RFC 9110 §10.2.3: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// oneLine makes foreign text harmless in a log or on a terminal.
func oneLine(s string) string {
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
