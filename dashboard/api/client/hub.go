package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
)

// Status returns the state of the hub.
func (c *Client) Status(ctx context.Context) (s api.Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/status", nil, nil, &s)
}

// Certificate describes the hub's certificate; when no hub runs, the one that it keeps itself.
func (c *Client) Certificate(ctx context.Context) (i api.Certificate, err error) {
	return i, c.call(ctx, http.MethodGet, "/certificate", nil, nil, &i)
}

// RenewCertificate has another certificate made, with the same key, in place of the hub's own.
func (c *Client) RenewCertificate(ctx context.Context) (i api.Certificate, err error) {
	return i, c.call(ctx, http.MethodPost, "/certificate/renew", nil, nil, &i)
}

const (
	lettersInPage = 200
	maxPositions  = 1000 // dead letters named in one request
)

// DeadLetters calls use with all dead letters, oldest first, some at a time.
func (c *Client) DeadLetters(ctx context.Context, use func([]api.DeadLetter) error) error {
	query := url.Values{"limit": {strconv.Itoa(lettersInPage)}}
	for {
		var page api.DeadLetters
		if err := c.call(ctx, http.MethodGet, "/dead-letters", query, nil, &page); err != nil {
			return err
		}
		if err := use(page.Letters); err != nil || page.Next == "" {
			return err
		}
		query.Set("cursor", page.Next)
	}
}

// DeadLetter returns the letter at a position.
func (c *Client) DeadLetter(ctx context.Context, position uint64) (l api.DeadLetter, err error) {
	return l, c.call(ctx, http.MethodGet, "/dead-letters/"+strconv.FormatUint(position, 10), nil, nil, &l)
}

// DropDeadLetters drops the letters at these positions, or all for nil, and returns how many there were.
func (c *Client) DropDeadLetters(ctx context.Context, positions []uint64) (n int, err error) {
	query := url.Values{"all": {"true"}}
	for {
		some := positions[:min(len(positions), maxPositions)]
		if positions != nil {
			query = url.Values{"position": texts(some)}
		}
		var d api.Dropped
		if err := c.call(ctx, http.MethodDelete, "/dead-letters", query, nil, &d); err != nil {
			return n, err
		}
		n += d.Dropped
		if positions = positions[len(some):]; len(positions) == 0 {
			return n, nil
		}
	}
}

// ReplayDeadLetters sends what InfluxDB refused once more: the letters at these positions, or all for nil.
func (c *Client) ReplayDeadLetters(ctx context.Context, positions []uint64) (r api.Replayed, err error) {
	in := map[string]any{"all": true}
	if positions != nil {
		in = map[string]any{"positions": positions}
	}
	return r, c.call(ctx, http.MethodPost, "/dead-letters/replay", nil, in, &r)
}

func texts(numbers []uint64) []string {
	all := make([]string, len(numbers))
	for i, n := range numbers {
		all[i] = strconv.FormatUint(n, 10)
	}
	return all
}
