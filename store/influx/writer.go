package influx

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// DefaultTimeout is how long a write may take, from dialling to the last byte of the answer.
const DefaultTimeout = 20 * time.Second

// Config says where InfluxDB is. For 1.8, Org is empty, Bucket is "database/retention-policy" or "database", and Token is
// "user:password" or empty.
type Config struct {
	URL     string // http or https, with the path of a proxy if there is one
	Org     string
	Bucket  string
	Token   string
	Timeout time.Duration // 0: DefaultTimeout
	CA      string        // file with PEM certificates that sign the server's, besides the system's
	Gzip    *bool         // nil: only for servers on other machines; compressing costs more than encoding
}

// Check says what is wrong with a configuration in itself.
func (c *Config) Check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("the URL of InfluxDB can't be read: %w", errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("the URL of InfluxDB has to be like http://127.0.0.1:8086, not %q", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL of InfluxDB can have no user, ? or #: the token and the bucket are given by themselves")
	case c.Bucket == "":
		return errors.New("no bucket of InfluxDB is given")
	case strings.ContainsAny(c.Token, "\r\n\x00"):
		return errors.New("the token of InfluxDB has more than one line")
	}
	return nil
}

// gzip says whether to compress: nothing is gained on the way to the same machine.
func (c *Config) gzip() bool {
	if c.Gzip != nil {
		return *c.Gzip
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && !ip.IsLoopback()
}

// maxSuspects bounds the memory of whose lines were refused. Devices beyond are found anew in each batch.
const maxSuspects = 1000

const (
	// leastMaxBytes is what MaxBytes does not go below, whatever single lines the server finds too large.
	leastMaxBytes = 16 << 10

	// regrow is by which part of itself MaxBytes grows with every write that uses it up: at a limit that stays, about one
	// write in 70 is refused; a limit that has gone is forgotten after a few hundred.
	regrow = 100
)

// Writer writes lines. Its methods are safe for concurrent use.
type Writer struct {
	// static
	client    influxdb2.Client
	write     api.WriteAPIBlocking
	transport *http.Transport
	timeout   time.Duration

	maxBytes atomic.Int64 // of a batch, learnt from 413; 0: no limit is known

	mu       sync.Mutex
	suspects map[string]bool // devices whose lines were refused the last time
	witness  []byte          // a line that was taken lately, not changed any more; nil: none was
}

// NewWriter returns a writer. It does not connect yet.
func NewWriter(c Config) (*Writer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	transport, err := newTransport(&c)
	if err != nil {
		return nil, err
	}
	w := &Writer{transport: transport, timeout: c.Timeout, suspects: map[string]bool{}}
	strict := &strictTransport{next: transport, gzip: c.gzip()}
	w.client = newClient(&c, strict)
	w.write = w.client.WriteAPIBlocking(c.Org, c.Bucket)
	return w, nil
}

func newClient(c *Config, transport http.RoundTripper) influxdb2.Client {
	options := influxdb2.DefaultOptions().
		SetHTTPClient(&http.Client{Transport: transport, Timeout: c.Timeout}).
		SetApplicationName("telemetry-hub")
	return influxdb2.NewClientWithOptions(c.URL, c.Token, options)
}

func newTransport(c *Config) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	if c.CA == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("certificates for InfluxDB: %w", err)
	}
	if pem, err = text.UTF8(pem); err != nil {
		return nil, fmt.Errorf("certificates for InfluxDB: %s: %w", c.CA, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates for InfluxDB: %s holds none in PEM", c.CA)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

// Close closes idle connections. No write may be under way.
func (w *Writer) Close() {
	w.client.Close()
	w.transport.CloseIdleConnections()
}

// MaxBytes is how long a batch may be: the server, or a proxy before it, did not take longer ones lately.
func (w *Writer) MaxBytes() int {
	if n := w.maxBytes.Load(); n > 0 {
		return int(n)
	}
	return math.MaxInt
}

// Write sends lines in one request. The error is a *Refusal, or the context's.
func (w *Writer) Write(ctx context.Context, lines []byte) error {
	// The text is copied: a request that was given up may still be reading it.
	err := w.write.WriteRecord(ctx, string(lines))
	if err == nil {
		w.learn(len(lines), true)
		return nil
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		if refusal.Verdict == TooLarge {
			w.learn(len(lines), false)
		}
		return refusal
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.unreachable(err)
}

// learn makes of the fate of a write of n bytes how long others may be.
func (w *Writer) learn(n int, taken bool) {
	limit := w.maxBytes.Load()
	switch {
	case !taken:
		w.maxBytes.Store(int64(max(n/2, leastMaxBytes)))
	case limit > 0 && int64(n) >= limit:
		w.maxBytes.CompareAndSwap(limit, limit+limit/regrow)
	}
}

// unreachable puts into words that no answer came.
func (w *Writer) unreachable(err error) *Refusal {
	r := &Refusal{Verdict: Retry, err: err}
	e, ok := errors.AsType[*url.Error](err)
	switch {
	case ok && e.Timeout():
		r.Text = fmt.Sprintf("no answer within %v", w.timeout)
	case ok:
		r.Text = "no answer: " + oneLine(e.Err.Error()) // without the method and the URL
	default:
		r.Text = "no answer: " + oneLine(err.Error())
	}
	return r
}

// strictTransport sends writes and judges the answers itself, since the client takes any 2xx for success, and loses most of
// what servers say in errors.
type strictTransport struct {
	next http.RoundTripper
	gzip bool
}

// RoundTrip returns an answer only if it is 204, and otherwise a *Refusal.
func (t *strictTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	// Writes are idempotent. Saying so lets net/http repeat one that met a connection the server was just closing; nil
	// keeps the header off the wire.
	req.Header["Idempotency-Key"] = nil
	if t.gzip {
		if err := compress(req); err != nil {
			return nil, err
		}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	refusal := judge(resp, time.Now())
	if refusal == nil {
		return resp, nil
	}
	// What is left of the answer is not worth reading, nor is the connection then.
	return nil, errors.Join(refusal, resp.Body.Close())
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}}

// compress replaces the request's body by a compressed one with a length, which proxies like better than chunks.
func compress(req *http.Request) error {
	var b bytes.Buffer
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(&b)
	_, err := io.Copy(z, req.Body)
	if err := errors.Join(err, req.Body.Close(), z.Close()); err != nil {
		return err
	}
	req.ContentLength = int64(b.Len())
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	req.Body, err = req.GetBody()
	req.Header.Set("Content-Encoding", "gzip")
	return err
}
