package socket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// chunk is how many bytes are written under one deadline: a slow peer is one that takes less in the write timeout, however
// long the message.
const chunk = 64 << 10

// wire is the connection below. It bounds every write and knows when the peer was last heard.
type wire struct {
	// static
	conn    net.Conn // *tls.Conn, unless the handler is served without TLS
	options *Options

	// owned by Serve
	early  []byte // what the HTTP server had read beyond the request
	ended  bool   // reading has failed
	closed bool   // the peer has closed, and sends nothing more

	heard   atomic.Int64 // elapsed ns when bytes last came; 0: never
	waiting atomic.Int64 // elapsed ns since when Read has been waiting; 0: it is not
	slow    atomic.Bool  // a write has waited too long
}

// Read notes when the peer was heard, and since when it is waited for.
func (w *wire) Read(b []byte) (n int, err error) {
	if len(w.early) > 0 {
		n = copy(b, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		w.heard.Store(int64(w.options.Elapsed()))
		return n, nil
	}
	w.waiting.Store(int64(w.options.Elapsed()))
	n, err = w.conn.Read(b)
	w.waiting.Store(0)
	if n > 0 {
		w.heard.Store(int64(w.options.Elapsed()))
	}
	w.ended = err != nil
	return n, err
}

// write writes all of b, or cuts the connection: part of a frame may be on the way then, and nothing sensible can follow.
func (w *wire) write(b []byte) error {
	for len(b) > 0 {
		part := b[:min(len(b), chunk)]
		err := w.conn.SetWriteDeadline(time.Now().Add(w.options.WriteTimeout))
		if err == nil {
			_, err = w.conn.Write(part)
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.slow.Store(true)
			}
			w.cut()
			return err
		}
		b = b[len(part):]
	}
	return nil
}

func (w *wire) hangUp(within time.Duration) {
	timer := time.AfterFunc(within, w.cut)
	defer timer.Stop()
	if !w.closed && !w.ended {
		if t, ok := w.conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, w.conn)
	}
	_ = w.conn.Close()
}

// cut ends the connection at once. tls.Conn.Close would try to say goodbye, for up to five seconds.
func (w *wire) cut() {
	conn := w.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok && w.slow.Load() {
		_ = l.SetLinger(0) // or the kernel would go on to offer what the peer does not read
	}
	_ = conn.Close()
}
