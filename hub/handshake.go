package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// cookieName is the cookie that carries the token of a device that can't set the Authorization header.
const cookieName = "device_token"

// Handler serves device.Path to devices, and any other path to people and programs, over HTTP/1.1.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(device.Path, bodyWithin(h.limits.HandshakeTimeout, http.HandlerFunc(h.serveDevice)))
	mux.Handle("/", bodyWithin(bodyTimeout, h.other))
	return answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strayDevice(r) {
			nothingElse(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// strayDevice reports whether a device has the wrong path. It is told so at once: a redirect, which is what a mux answers to
// //v1/device, would take its token somewhere, and a page for people would tell it nothing.
func strayDevice(r *http.Request) bool {
	return r.URL.Path != device.Path && (path.Clean(r.URL.Path) == device.Path || socket.Offers(r, device.Subprotocol))
}

// bodyTimeout is how long a request that is not a device's may take to send its body.
const bodyTimeout = 30 * time.Second

// bodyWithin ends connections whose request has a body that does not come in time: net/http waits without end even for one that the
// handler leaves unread. Requests without a body get no deadline: it would end them while they are being answered.
func bodyWithin(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}

func nothingElse(w http.ResponseWriter, _ *http.Request) {
	socket.Refuse(w, http.StatusNotFound, "Nothing is here; devices connect by WebSocket to "+device.Path+".")
}

// serveDevice takes a device through the handshake: is it a WebSocket of ours, whose is it, is there room for it.
func (h *Hub) serveDevice(w http.ResponseWriter, r *http.Request) {
	if !socket.Check(w, r, device.Subprotocol, false) {
		return
	}
	token, id, ok := h.authenticate(w, r)
	if !ok {
		return
	}
	network := addressOf(r.RemoteAddr)
	if !h.reserve(w, r, id, network) {
		return
	}
	if err := h.upgrade(w, r, token, id, network); err != nil {
		h.sessions.release(network)
		h.log.Debug("handshake failed", "device", id, "address", r.RemoteAddr, "error", err)
	}
}

// authenticate finds out which device it is. A valid token is accepted whatever its address did before: it may share the
// address with somebody who guesses.
func (h *Hub) authenticate(w http.ResponseWriter, r *http.Request) (token, id string, ok bool) {
	token, fromCookie := tokenOf(r)
	if fromCookie && !ownOrigin(r) {
		return "", "", h.refuse(w, r, id, http.StatusForbidden, "Send the token in the Authorization header: cookies are not accepted from pages of another origin.")
	}
	err := devices.ErrUnknownToken
	if token != "" {
		if id, err = h.store.Devices.Authenticate(token); err == nil {
			return token, id, true
		}
	}
	if !h.failures.take(addressOf(r.RemoteAddr)) {
		retryAfter(w, 30)
		return "", "", h.refuse(w, r, id, http.StatusTooManyRequests, "Too many failed attempts from this address: check the device's token, then wait.")
	}
	h.limited.Warn("device refused", "address", r.RemoteAddr, "reason", err)
	switch {
	case errors.Is(err, devices.ErrRevoked):
		return "", "", h.refuse(w, r, id, http.StatusForbidden, "This device is revoked: give it a new token to let it in again.")
	case token == "":
		w.Header().Set("WWW-Authenticate", "Bearer realm="+strconv.Quote(h.name))
		return "", "", h.refuse(w, r, id, http.StatusUnauthorized, "Send the device's token: Authorization: Bearer TOKEN, or the cookie "+cookieName+".")
	default:
		w.Header().Set("WWW-Authenticate", "Bearer realm="+strconv.Quote(h.name)+`, error="invalid_token"`) // RFC 6750 §3
		return "", "", h.refuse(w, r, id, http.StatusUnauthorized, "This token is not known: register the device, or give it its present token.")
	}
}

// refuse answers with one sentence, and tells it those who watch. The id is "" for a stranger.
func (h *Hub) refuse(w http.ResponseWriter, r *http.Request, id string, status int, sentence string) bool {
	h.feed.Refused(r.RemoteAddr, id, fmt.Sprintf("%d: %s", status, sentence))
	return socket.Refuse(w, status, sentence)
}

// tokenOf returns the token of a request, "" if there is none, and whether a cookie carried it.
func tokenOf(r *http.Request) (token string, fromCookie bool) {
	if values := r.Header["Authorization"]; len(values) > 0 {
		scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return "", false
		}
		return strings.TrimSpace(token), false
	}
	if c, err := r.Cookie(cookieName); err == nil {
		return c.Value, true
	}
	return "", false
}

// ownOrigin reports whether a browser that sent this request showed a page of the hub itself, which is always one by HTTPS.
// Programs send no Origin, or, like some libraries for microcontrollers, one that no web page can have.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || origin == "null" {
		return false
	}
	return u.Scheme != "http" && (u.Scheme != "https" || strings.EqualFold(u.Host, r.Host))
}

// reserve takes a place for one more connection of a device, or says why there is none.
func (h *Hub) reserve(w http.ResponseWriter, r *http.Request, id string, network netip.Prefix) bool {
	if !h.connects.take(id) {
		retryAfter(w, 20)
		return h.refuse(w, r, id, http.StatusTooManyRequests, "This device connects too often: wait, and check that no other device uses its token.")
	}
	err := h.sessions.take(id, network)
	if err == nil {
		return true
	}
	h.turnedAway(err, network)
	switch {
	case errors.Is(err, errAddressFull):
		retryAfter(w, 60)
		return h.refuse(w, r, id, http.StatusTooManyRequests, "This address has as many connections as the hub allows: close some, or raise the limit.")
	default: // full or stopping: another time, and not all at once
		retryAfter(w, 30)
		return h.refuse(w, r, id, http.StatusServiceUnavailable, "The hub "+err.Error()+": come back after the time in Retry-After.")
	}
}

// upgrade answers 101 and starts the session. After an error the connection is closed.
func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request, token, id string, network netip.Prefix) error {
	conn, err := h.upgrader.Upgrade(w, r)
	if err != nil {
		return err
	}
	Admit(r, 0)
	s := newSession(h, id, network, conn, r.RemoteAddr)
	if !h.sessions.enter(s) {
		conn.TurnAway(device.CloseGoingAway, "the hub stops", h.pace.closing)
		return errStopping
	}
	h.feed.Connected(id, s.number, s.address)
	// Revoking closes the connections it finds. It did not find this one if it came after authenticate and before enter.
	if _, err := h.store.Devices.Authenticate(token); err != nil {
		s.close(device.CloseRevoked, "the token is no longer valid")
	}
	s.begin()
	go s.run()
	return nil
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// Admit takes the connection of a request out of the pending ones: it is known whose it is, and it counts for other limits.
// sendBuffer is how many bytes the kernel may hold for a peer that reads slowly; 0: its own choice, up to megabytes, which
// a viewer would read as old news.
func Admit(r *http.Request, sendBuffer int) {
	c := gatedOf(r)
	if c == nil {
		return
	}
	c.admit()
	if tcp, ok := c.Conn.(*net.TCPConn); ok && sendBuffer > 0 {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
}

// withConn is the context of the requests of a connection.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// newUpgrader returns the WebSocket side of all device connections.
func newUpgrader(limits Limits, elapsed func() time.Duration) *socket.Upgrader {
	return socket.NewUpgrader(socket.Options{
		Protocol: device.Subprotocol, MaxReceived: device.MaxMessage,
		WriteTimeout: limits.WriteTimeout, Elapsed: elapsed,
	})
}

// retryAfter asks to come back after 1 to most seconds: at random, so that those refused together do not return together.
func retryAfter(w http.ResponseWriter, most int) {
	w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(most)))
}
