package hub

import (
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
)

func TestLimitsHaveDefaults(t *testing.T) {
	v := reflect.ValueOf(Limits{}.withDefaults())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s has none", v.Type().Field(i).Name)
		}
	}
	if l := (Limits{WindowBytes: 1, Connections: 5}).withDefaults(); l.WindowBytes < 16<<10 || l.Connections != 5 {
		t.Errorf("%+v", l)
	}
}

func TestAddressOf(t *testing.T) {
	for hostPort, want := range map[string]string{
		"192.0.2.1:5":              "192.0.2.1/32",
		"[::ffff:192.0.2.1]:5":     "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:5": "2001:db8:1:2::/64",
		"[fe80::1:2:3:4%eth0]:5":   "fe80::/64",
		"@":                        "invalid Prefix",
	} {
		if got := addressOf(hostPort).String(); got != want {
			t.Errorf("%s: %s, expected %s", hostPort, got, want)
		}
	}
}

func TestBuckets(t *testing.T) {
	b := newLimiters[string](1e-9, 2)
	for i, want := range []bool{true, true, false} {
		if b.take("a") != want {
			t.Errorf("token %d", i)
		}
	}
	if !b.take("b") {
		t.Error("b has no bucket of its own")
	}
	for i := range 2 * maxLimiters { // strangers come and go
		b.take(strconv.Itoa(i))
	}
	if len(b.byKey) > maxLimiters {
		t.Errorf("%d limiters", len(b.byKey))
	}
	if b.take("a") {
		t.Error("a's bucket was forgotten while it was empty")
	}
	full := newLimiters[string](1e9, 2)
	for i := range maxLimiters + 1 {
		full.take(strconv.Itoa(i))
	}
	if len(full.byKey) > maxLimiters/2 {
		t.Errorf("%d full limiters are kept", len(full.byKey))
	}
}

// rawGone waits until the hub has closed a connection that has not got as far as TLS.
func rawGone(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("still connected")
	}
}

func (r *rig) dialRaw() net.Conn { return r.dialFrom("127.0.0.1") }

// dialFrom connects from an address of the loopback network, and says nothing.
func (r *rig) dialFrom(host string) net.Conn {
	r.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	conn, err := dialer.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestSlowHandshakesEnd(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{HandshakeTimeout: 100 * time.Millisecond}})
	rawGone(t, r.dialRaw()) // no TLS
	headers := r.dialTLS()
	if _, err := headers.Write([]byte("GET /v1/device HTTP/1.1\r\nX: ")); err != nil {
		t.Fatal(err)
	}
	rawGone(t, headers)
	body := r.dialTLS()
	if _, err := body.Write([]byte("GET /v1/device HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	rawGone(t, body)
}

// stalled is a connection whose reader stops in the middle of the TLS handshake: when the server has done its part.
type stalled struct {
	net.Conn
	served chan struct{}
	until  chan struct{}
}

func (c *stalled) Read(b []byte) (int, error) {
	if _, err := c.Conn.Read(b); err != nil {
		return 0, err
	}
	close(c.served)
	<-c.until
	return 0, io.EOF
}

func TestStalledTLSHandshakeHasNoTurn(t *testing.T) {
	cert, err := certificate.Open(certificate.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(ln, bareHub(Limits{TLSHandshakes: 1, HandshakeTimeout: time.Hour}.withDefaults()))
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer g.Close()
	tasks.Go(g.listen)
	tasks.Go(func() {
		secure := tls.NewListener(g, g.takeTurns(cert.TLSConfig()))
		for {
			conn, err := secure.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake()
			})
		}
	})
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := &stalled{raw, make(chan struct{}), make(chan struct{})}
	tasks.Go(func() {
		defer raw.Close()
		if err := tls.Client(conn, clientTLS(t, cert.Info().TrustFile)).Handshake(); err == nil {
			t.Error("the stalled handshake ended well")
		}
	})
	defer close(conn.until)
	<-conn.served
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: clientTLS(t, cert.Info().TrustFile)}
	other, err := dialer.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
}
