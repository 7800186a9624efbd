package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Client asks a hub to do things. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	caller string // who asks, for the audit trail
	close  func() error
}

// Dial connects to the hub that runs on dataDir, or returns socket.ErrNotRunning.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, dataDir) }
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // it answers; requests dial for themselves
	return newClient(dial, func() error { return nil }), nil
}

func newClient(dial func(context.Context, string, string) (net.Conn, error), closing func() error) *Client {
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	return &Client{
		http:   &http.Client{Transport: transport},
		caller: caller(),
		close: func() error {
			transport.CloseIdleConnections()
			return closing()
		},
	}
}

// Close ends the client.
func (c *Client) Close() error { return c.close() }

// Status returns the state of the hub.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/status", nil, &s)
}

// Devices returns all devices, sorted by id.
func (c *Client) Devices(ctx context.Context) (d []Device, err error) {
	return d, c.call(ctx, http.MethodGet, "/devices", nil, &d)
}

// Device returns one device with its schema.
func (c *Client) Device(ctx context.Context, id string) (d Device, err error) {
	return d, c.call(ctx, http.MethodGet, devicePath(id), nil, &d)
}

// AddDevices registers devices, all of them or none, and returns their tokens in the same order.
func (c *Client) AddDevices(ctx context.Context, devices []store.NewDevice) (creds []store.Credential, err error) {
	return creds, c.call(ctx, http.MethodPost, "/devices", devices, &creds)
}

// Rotate gives the device a new token.
func (c *Client) Rotate(ctx context.Context, id string) (cred store.Credential, err error) {
	return cred, c.call(ctx, http.MethodPost, devicePath(id)+"/rotate", nil, &cred)
}

// Revoke makes the device's tokens invalid and closes its connection.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, devicePath(id)+"/revoke", nil, nil)
}

// Remove forgets the device with its readings and closes its connection.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, devicePath(id), nil, nil)
}

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
	resp, err := c.do(ctx, http.MethodGet, devicePath(q.Device)+"/readings?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the readings broke off: %w", err)
	}
	if text := resp.Trailer.Get(errorTrailer); text != "" {
		return parseError(resp.StatusCode, []byte(text))
	}
	return nil
}

// DeadLetters returns at most limit letters with positions above after, oldest first.
func (c *Client) DeadLetters(ctx context.Context, after uint64, limit int) (l []store.DeadLetter, err error) {
	v := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
	return l, c.call(ctx, http.MethodGet, "/dead-letters?"+v.Encode(), nil, &l)
}

// DropDeadLetters drops the letters at these positions, or all for nil, and returns how many there were.
func (c *Client) DropDeadLetters(ctx context.Context, positions []uint64) (int, error) {
	var d dropped
	err := c.call(ctx, http.MethodDelete, "/dead-letters?"+these(positions), nil, &d)
	return d.Dropped, err
}

// ReplayDeadLetters sends what InfluxDB refused once more: the letters at these positions, or all for nil.
func (c *Client) ReplayDeadLetters(ctx context.Context, positions []uint64) (r store.Replayed, err error) {
	return r, c.call(ctx, http.MethodPost, "/dead-letters/replay?"+these(positions), nil, &r)
}

// these is the query that names dead letters; nil stands for all.
func these(positions []uint64) string {
	v := url.Values{}
	for _, p := range positions {
		v.Add("position", strconv.FormatUint(p, 10))
	}
	if positions == nil {
		v.Set("all", "true")
	}
	return v.Encode()
}

func devicePath(id string) string { return "/devices/" + url.PathEscape(id) }

// call sends in as JSON and reads the answer into out; either may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	decoder := json.NewDecoder(resp.Body)
	decoder.UseNumber() // what has no type of its own keeps its digits
	if err := decoder.Decode(out); err != nil {
		return fmt.Errorf("read the hub's answer: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(callerField, c.caller)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return nil, fmt.Errorf("read the hub's answer: %w", err)
	}
	return nil, parseError(resp.StatusCode, text)
}
