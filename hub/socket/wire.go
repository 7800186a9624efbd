package socket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// closeFrame is the first byte of an unfragmented Close frame (RFC 6455 §5.5.1).
const closeFrame = 0x80 | opClose

// chunk is how many bytes are written under one deadline: a slow peer is one that takes less in the write timeout, however
// long the message.
const chunk = 64 << 10

// wire is the connection below gws. It checks what comes, bounds every write, and knows when the peer was last heard. It sends
// the Close frame itself, and none of gws, which would tell the peer the Go text of a read error, or answer every code with 1000.
type wire struct {
	// static
	net.Conn // *tls.Conn, unless the handler is served without TLS
	conn     *Conn
	options  *Options

	// owned by Serve
	early   []byte // what the HTTP server had read beyond the request
	checker checker
	end     error // why nothing more is read: *Closed, *Broken, or what reading has returned

	heard   atomic.Int64 // elapsed ns when bytes last came; 0: never
	waiting atomic.Int64 // elapsed ns since when Read has been waiting; 0: it is not
	slow    atomic.Bool  // a write has waited too long

	// guarded by mu
	mu       sync.Mutex    // held while a frame is written
	silent   bool          // a Close frame was sent, or nobody listens: nothing more is written
	deadline time.Duration // elapsed: what is written has time until then
}

// Read passes on what has come as far as it is in order, notes when the peer was heard, and since when it is waited for.
func (w *wire) Read(b []byte) (int, error) {
	for w.end == nil {
		n, err := w.receive(b)
		if n > 0 {
			w.heard.Store(int64(w.options.Elapsed()))
			passed, refused := w.checker.check(b[:n])
			if n = passed; refused != nil {
				err = refused
			}
		}
		if err != nil {
			w.endWith(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, w.end
}

func (w *wire) receive(b []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(b, w.early)
		w.early = w.early[n:]
		return n, nil
	}
	w.waiting.Store(int64(w.options.Elapsed()))
	n, err := w.Conn.Read(b)
	w.waiting.Store(0)
	return n, err
}

// endWith ends reading, and answers with the peer's own code (RFC 6455 §5.5.1), with why it is refused, or with nothing if
// nobody listens any more.
func (w *wire) endWith(end error) {
	w.end = end
	switch end := end.(type) {
	case *Closed:
		var body []byte
		if end.Code != 0 {
			body = closeBody(end.Code, "")
		}
		w.sendClose(body)
	case *Broken:
		w.sendClose(closeBody(end.Code, end.Text))
	default:
		w.mu.Lock()
		w.silent = true
		w.mu.Unlock()
	}
}

// sendClose sends a Close frame, after which nothing is sent.
func (w *wire) sendClose(body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent {
		return
	}
	w.silent = true
	_ = w.write(append([]byte{closeFrame, byte(len(body))}, body...)) // an error has cut the connection
}

// Write writes one WebSocket frame of gws, or its answer to the handshake. Of its Close frames, and after ours, it only
// pretends to: gws would take an error for the end of the connection, before the peer has read what was sent.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent || b[0] == closeFrame {
		return len(b), nil
	}
	if err := w.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// write writes all of b, or cuts the connection: part of a frame may be on the way then, and nothing sensible can follow.
func (w *wire) write(b []byte) error {
	for len(b) > 0 {
		part := b[:min(len(b), chunk)]
		err := w.extendDeadline()
		if err == nil {
			_, err = w.Conn.Write(part)
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

// extendDeadline gives the next write its time, and up to a quarter more, so that not each of many small ones moves a timer.
func (w *wire) extendDeadline() error {
	now, timeout := w.options.Elapsed(), w.options.WriteTimeout
	if w.deadline >= now+timeout {
		return nil
	}
	w.deadline = now + timeout + timeout/4
	return w.SetWriteDeadline(time.Now().Add(timeout + timeout/4))
}

// SetDeadline is called by gws around its handshake.
func (w *wire) SetDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = 0
	return w.Conn.SetDeadline(t)
}

// Close does nothing: gws calls it right after its Close frame, while the peer may still be sending, and the reset that
// follows would take the Close frame with it. hangUp comes when Serve has ended.
func (w *wire) Close() error { return nil }

func (w *wire) hangUp(within time.Duration) {
	timer := time.AfterFunc(within, w.cut)
	defer timer.Stop()
	if _, refused := w.end.(*Broken); refused || w.end == nil { // it may go on sending
		if t, ok := w.Conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, w.Conn)
	}
	_ = w.Conn.Close()
}

// cut ends the connection at once. tls.Conn.Close would try to say goodbye, for up to five seconds.
func (w *wire) cut() {
	conn := w.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok && w.slow.Load() {
		_ = l.SetLinger(0) // or the kernel would go on to offer what the peer does not read
	}
	_ = conn.Close()
}
