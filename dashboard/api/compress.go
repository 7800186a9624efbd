package api

import (
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

const (
	// smallest is how many bytes an answer has that is worth compressing, if its first piece tells.
	smallest = 1 << 10

	// brotliLevel and gzipLevel take about as long as the hub takes to make an answer.
	brotliLevel  = 3
	gzipLevel    = 4
	brotliWindow = 16 // logarithm of how far back is looked, in bytes
)

// encoder compresses what is written to it.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoders keeps those that are not in use: they have some hundred KiB each.
var encoders = map[string]*sync.Pool{
	"br": {New: func() any {
		return brotli.NewWriterOptions(io.Discard, brotli.WriterOptions{Quality: brotliLevel, LGWin: brotliWindow})
	}},
	"gzip": {New: func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, gzipLevel) // a level that there is
		return w
	}},
}

// compressed sends what h answers to a GET compressed, if the caller takes that. Streams stay streams.
func compressed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		coding := ""
		for _, c := range []string{"br", "gzip"} {
			if coding == "" && r.Method == http.MethodGet && Accepts(r, c) {
				coding = c
			}
		}
		if coding == "" {
			h(w, r)
			return
		}
		c := &compressor{ResponseWriter: w, coding: coding}
		h(c, r)
		c.finish() // not after a panic: what breaks off must not look whole
	}
}

// compressor is a ResponseWriter that compresses. What it sends first decides whether it does.
type compressor struct {
	http.ResponseWriter
	coding  string
	status  int
	begun   bool
	encoder encoder // nil: it does not compress
}

// Unwrap lets http.ResponseController reach the connection.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressor) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// begin sends the header of an answer that begins with b.
func (c *compressor) begin(b []byte) {
	c.begun = true
	header := c.Header()
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if len(b) >= smallest && header.Get("Content-Encoding") == "" && (strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "json")) {
		c.encoder = encoders[c.coding].Get().(encoder)
		c.encoder.Reset(c.ResponseWriter)
		header.Set("Content-Encoding", c.coding)
		header.Del("Content-Length")
	}
	if c.status != 0 {
		c.ResponseWriter.WriteHeader(c.status)
	}
}

func (c *compressor) Write(b []byte) (int, error) {
	if !c.begun {
		c.begin(b)
	}
	if c.encoder == nil {
		return c.ResponseWriter.Write(b)
	}
	n, err := c.encoder.Write(b)
	if err == nil { // the caller gets what there is, and whoever sends it learns how fast it is read
		err = c.encoder.Flush()
	}
	return n, err
}

// finish ends the answer.
func (c *compressor) finish() {
	if !c.begun {
		c.begin(nil)
	}
	if c.encoder == nil {
		return
	}
	_ = c.encoder.Close() // a caller that has gone by now can't be told anything
	c.encoder.Reset(io.Discard)
	encoders[c.coding].Put(c.encoder)
}

// Accepts reads Accept-Encoding (RFC 9110 §12.5.3); a weight of 0 refuses.
func Accepts(r *http.Request, wanted string) bool {
	for _, line := range r.Header["Accept-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), wanted) {
				continue
			}
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
