package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	maxStayAway  = time.Hour // however long the hub asks for

	// steadyTime is how long a connection must have stood after WELCOME for the next failure to count as the first.
	steadyTime = time.Second

	// busyAttempt is where a hub that says it is overloaded moves the back-off at least: 8 s.
	busyAttempt = 4
)

// refusedError is an HTTP answer other than 101.
type refusedError struct {
	status     string // "401 Unauthorized"
	text       string // for people; may be cut short
	code       int
	retryAfter time.Duration
}

func (e *refusedError) Error() string {
	what := "the connection"
	if e.code == http.StatusUnauthorized || e.code == http.StatusForbidden {
		what = "the token"
	}
	return strings.TrimSuffix(fmt.Sprintf("the hub refuses %s: %s: %s", what, e.status, e.text), ": ")
}

// goAwayError is GOAWAY.
type goAwayError struct{ *device.GoAway }

func (e goAwayError) Error() string { return "the hub asked the device to come back later: " + e.Text }

// backoff counts failed attempts in a row.
type backoff struct{ attempt int }

// after returns the bounds of the random time to stay away after a connection has ended with err, or none came about.
func (b *backoff) after(err error, stood time.Duration) (least, most time.Duration) {
	if stood >= steadyTime {
		b.attempt = 0
	}
	var goAway goAwayError
	var refused *refusedError
	var closed *gws.CloseError
	switch {
	case errors.As(err, &goAway):
		least := min(time.Duration(goAway.MinMS)*time.Millisecond, maxStayAway)
		return least, max(least, min(time.Duration(goAway.MaxMS)*time.Millisecond, maxStayAway))
	case errors.As(err, &refused):
		switch {
		case refused.retryAfter > 0:
			least = min(refused.retryAfter, maxStayAway)
			return least, least + b.next()
		case refused.code/100 == 4 && refused.code != http.StatusTooManyRequests, refused.code == http.StatusHTTPVersionNotSupported:
			return maxBackoff / 2, maxBackoff // a person has to mend something
		}
	case errors.As(err, &closed):
		switch device.CloseCode(closed.Code) {
		case device.CloseReplaced:
			// Another device has this token. Coming back soon would replace it in turn, without end.
			return maxBackoff, 2 * maxBackoff
		case device.CloseRevoked, device.ClosePolicy, device.CloseBadState, device.CloseBadSchema,
			device.CloseProtocolError, device.CloseUnsupportedData, device.CloseTooBig:
			return maxBackoff / 2, maxBackoff
		case device.CloseTryLater:
			b.attempt = max(b.attempt, busyAttempt)
		}
	}
	return 0, b.next()
}

// next is the upper bound after one more failure.
func (b *backoff) next() time.Duration {
	most := min(firstBackoff<<b.attempt, maxBackoff)
	if most < maxBackoff {
		b.attempt++
	}
	return most
}

// between is a random time from least to most ("full jitter").
func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1)
}
