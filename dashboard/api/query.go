package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// errQuery is wrapped by what is wrong with the parameters of a request; the texts are for people.
var errQuery = errors.New("bad parameter")

// MaxParameter is the longest value of a parameter, in bytes.
const MaxParameter = 256

// lastMoment is the end of the year 9999, the last that RFC 3339 can write.
var lastMoment = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// query reads the parameters of a request. The first that is wrong counts.
type query struct {
	values url.Values
	err    error
}

func readQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.bad("the query can't be read: %v", err)
	}
	return q
}

func (q *query) bad(format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%w: "+format, append([]any{errQuery}, args...)...)
	}
}

// texts returns the values of a parameter that may be given up to limit times.
func (q *query) texts(name string, limit int) []string {
	values := q.values[name]
	delete(q.values, name)
	if len(values) > limit {
		q.bad("%s is given %d times, at most %d are possible", name, len(values), limit)
		return nil
	}
	for _, v := range values {
		if len(v) > MaxParameter {
			q.bad("%s has %d bytes, at most %d are possible", name, len(v), MaxParameter)
		}
	}
	return values
}

// text returns the value of a parameter, "" if it is not given.
func (q *query) text(name string) string {
	if values := q.texts(name, 1); len(values) == 1 {
		return values[0]
	}
	return ""
}

// number returns a parameter, or fallback if it is not given.
func (q *query) number(name string, fallback, least, most int64) int64 {
	text := q.text(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		q.bad("%s is a number from %d to %d", name, least, most)
		return fallback
	}
	return n
}

// leastMillis is the lowest number but 0 that is taken for ms since 1970. Those below are times up to 1973, and as seconds up to
// the year 5138. Who means those years writes RFC 3339; a hub whose own clock is there takes them.
const leastMillis = 100_000_000_000

// moment returns a time given in ms since 1970, as RFC 3339 or as a time before now such as -1h or -7d, or zero if it is not given.
func (q *query) moment(name string, now time.Time) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if back, ok := parseAgo(ago); ok {
			return now.Add(-back)
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if n, notNumber := strconv.ParseInt(text, 10, 64); notNumber == nil {
		if 0 < n && n < leastMillis && now.UnixMilli() >= leastMillis {
			q.bad("%s is in ms since 1970, and %d looks like seconds: write %d000, or %s", name, n, n, time.Unix(n, 0).UTC().Format(time.RFC3339))
			return time.Time{}
		}
		t, err = time.UnixMilli(n).UTC(), nil
	}
	if err != nil || t.Before(time.Unix(0, 0)) || t.After(lastMoment) {
		q.bad("%s is a time from 1970 to 9999, in ms since 1970, as 2026-01-31T12:00:00Z or as -1h or -7d, which is so long ago", name)
		return time.Time{}
	}
	return t
}

// parseAgo reads Go's durations and days, with their unit, up to a hundred years.
func parseAgo(text string) (time.Duration, bool) {
	const most = 100 * 365 * 24 * time.Hour
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil && n <= uint64(most/(24*time.Hour))
	}
	back, err := time.ParseDuration(text)
	return back, err == nil && text != "0" && 0 <= back && back <= most
}

// duration returns a time given like 5s or 1m30s, or 0 if it is not given.
func (q *query) duration(name string, most time.Duration) time.Duration {
	text := q.text(name)
	if text == "" {
		return 0
	}
	t, err := time.ParseDuration(text)
	if err != nil || t < 0 || t > most {
		q.bad("%s is a time like 5s, at most %v", name, most)
		return 0
	}
	return t
}

// yes returns a parameter that is true or false, and false if it is not given.
func (q *query) yes(name string) bool {
	switch q.text(name) {
	case "true":
		return true
	case "", "false":
	default:
		q.bad("%s is true or false", name)
	}
	return false
}

// end returns what was wrong. A parameter that nobody asked for is: it may be a slip of the pen.
func (q *query) end() error {
	for name := range q.values {
		q.bad("there is no parameter %.40q here", name)
	}
	return q.err
}
