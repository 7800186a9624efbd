package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/hub/control"
)

// ReadingsQuery selects readings of one device. Zero values stand for everything.
type ReadingsQuery struct {
	Device   string
	Channels []string
	From, To time.Time // From is included, To is not
	Format   string    // table, csv, json or lineprotocol
}

// Readings writes the readings to w as they come.
func (c *Client) Readings(ctx context.Context, q ReadingsQuery, w io.Writer) error {
	v := url.Values{"format": {q.Format}}
	for _, name := range q.Channels {
		v.Add("channel", name)
	}
	if !q.From.IsZero() {
		v.Set("from", q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		v.Set("to", q.To.UTC().Format(time.RFC3339Nano))
	}
	old := *c
	old.base = strings.TrimSuffix(c.base, "/api/v1")
	resp, err := old.do(ctx, http.MethodGet, devicePath(q.Device)+"/readings", v, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return &UnreachableError{fmt.Errorf("the readings broke off: %w", err)}
	}
	if text := resp.Trailer.Get("Telemetry-Hub-Error"); text != "" {
		return parseProblem(resp.StatusCode, []byte(text))
	}
	return nil
}

// oldProblem reads what package control answers.
func oldProblem(status int, text []byte) *api.Problem {
	e := &control.Error{}
	if json.Unmarshal(text, e) != nil || e.Text == "" {
		return nil
	}
	p := &api.Problem{Status: status, Detail: e.Text, Hint: e.Hint}
	return p
}
