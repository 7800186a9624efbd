// Package client asks a hub through its API: over the Unix socket in its data directory, over TLS from elsewhere, or, where no
// hub runs, in its own process on the files of one. The answers are the types of package api.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
)

const maxProblem = 64 << 10 // bytes

// Client asks a hub to do things. It is safe for concurrent use. What the hub refuses is an [*api.Problem].
type Client struct {
	http   *http.Client
	base   string // URL of the hub
	header http.Header
	close  func() error
	alone  bool // no hub runs: it holds the files of one
}

// UnreachableError says that the hub gave no answer, or none that is one.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string { return "ask the hub: " + e.err.Error() }
func (e *UnreachableError) Unwrap() error { return e.err }

// Dial returns a client of the hub that runs on dataDir, or [socket.ErrNotRunning].
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, dataDir) }
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // it answers; requests dial for themselves
	return local(dial, func() error { return nil }), nil
}

// local is a client that is an admin, because it can connect at all.
func local(dial func(context.Context, string, string) (net.Conn, error), closing func() error) *Client {
	return newClient(&http.Transport{DialContext: dial, DisableCompression: true}, "http://hub", http.Header{api.CallerField: {caller()}}, closing)
}

// Remote returns a client of the hub at an https URL. key is an API key. roots are those that the hub's certificate is under,
// nil for the system's.
func Remote(address, key string, roots *x509.CertPool) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not like https://HOST:PORT", address)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return newClient(transport, "https://"+u.Host, http.Header{"Authorization": {"Bearer " + key}}, func() error { return nil }), nil
}

func newClient(transport *http.Transport, base string, header http.Header, closing func() error) *Client {
	return &Client{
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		base: base + "/api/v1", header: header,
		close: func() error {
			transport.CloseIdleConnections()
			return closing()
		},
	}
}

// Close ends the client.
func (c *Client) Close() error { return c.close() }

// caller is the person at the command line.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" && os.Getuid() == 0 {
		return name
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// call sends in as JSON and reads the answer into out; either may be nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, query, body)
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
		return &UnreachableError{fmt.Errorf("its answer can't be read: %w", err)}
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header = c.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without method and URL, which nobody has typed
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &UnreachableError{err}
	case resp.StatusCode/100 == 2:
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return nil, &UnreachableError{err}
	}
	return nil, parseProblem(text, resp)
}

// parseProblem reads a problem as the hub wrote it. Whatever else answers is no hub.
func parseProblem(text []byte, resp *http.Response) error {
	p := &api.Problem{}
	if err := json.Unmarshal(text, p); err != nil || p.Detail == "" {
		return &UnreachableError{fmt.Errorf("it answers %s: %.200q", resp.Status, text)}
	}
	return p
}

// list returns up to limit entries, from as many pages as it takes, of which each has most at most.
func list[T, P any](ctx context.Context, c *Client, path string, query url.Values, limit, most int, part func(*P) ([]T, string)) ([]T, error) {
	all := []T{}
	for len(all) < limit {
		query.Set("limit", strconv.Itoa(min(limit-len(all), most)))
		var page P
		if err := c.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		entries, next := part(&page)
		all = append(all, entries...)
		if next == "" || len(entries) == 0 {
			break
		}
		query.Set("cursor", next)
	}
	return all, nil
}
