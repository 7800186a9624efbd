package hub

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// cookieName is the cookie that carries the token of a device that can't set the Authorization header.
const cookieName = "device_token"

// readBuffer is the size of the read buffer of a connection: most frames fit, and ten thousand of them cost 5 MiB.
const readBuffer = 512

// Handler serves device.Path over HTTP/1.1 and answers any other path with 404.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(device.Path, h.serveDevice)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "Nothing is here; devices connect by WebSocket to "+device.Path+".")
	})
	return mux
}

// serveDevice takes a device through the handshake: is it a WebSocket of ours, whose is it, is there room for it.
func (h *Hub) serveDevice(w http.ResponseWriter, r *http.Request) {
	if !checkUpgrade(w, r) {
		return
	}
	token, id, ok := h.authenticate(w, r)
	if !ok {
		return
	}
	network := addressOf(r.RemoteAddr)
	if !h.reserve(w, id, network) {
		return
	}
	if err := h.upgrade(w, r, token, id, network); err != nil {
		h.registry.release(network)
		h.log.Debug("handshake failed", "device", id, "address", r.RemoteAddr, "error", err)
	}
}

// checkUpgrade checks what RFC 6455 §4.2.1 asks of a client, and the subprotocol. gws checks less and answers 400 to all.
func checkUpgrade(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return refuse(w, http.StatusHTTPVersionNotSupported, "Use HTTP/1.1 for the WebSocket handshake.")
	}
	if r.Method != http.MethodGet {
		header.Set("Allow", http.MethodGet)
		return refuse(w, http.StatusMethodNotAllowed, "Use GET with a WebSocket handshake.")
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return refuse(w, http.StatusBadRequest, "Send the WebSocket handshake without a body.")
	}
	header.Set("Sec-WebSocket-Version", "13")
	header.Set("Upgrade", "websocket")
	if !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket") {
		return refuse(w, http.StatusUpgradeRequired, "Connect with a WebSocket client: this path speaks "+device.Subprotocol+" only.")
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || strings.TrimSpace(v[0]) != "13" {
		return refuse(w, http.StatusUpgradeRequired, "Use WebSocket version 13.")
	}
	protocols := r.Header["Sec-Websocket-Protocol"]
	if len(protocols) == 0 {
		header.Set("Sec-WebSocket-Protocol", device.Subprotocol)
		return refuse(w, http.StatusUpgradeRequired, "Offer the subprotocol "+device.Subprotocol+" in Sec-WebSocket-Protocol.")
	}
	header.Del("Sec-WebSocket-Version")
	header.Del("Upgrade")
	if !slices.Contains(tokens(protocols), device.Subprotocol) {
		return refuse(w, http.StatusBadRequest, "Offer the subprotocol "+device.Subprotocol+": this hub speaks no other.")
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return refuse(w, http.StatusBadRequest, "Send one Sec-WebSocket-Key.")
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return refuse(w, http.StatusBadRequest, "Send 16 random bytes in base64 as Sec-WebSocket-Key.")
	}
	// gws reads only the first line of each, and compares the whole of Upgrade.
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Protocol", device.Subprotocol)
	return true
}

// authenticate finds out which device it is. A valid token is accepted whatever its address did before: it may share the
// address with somebody who guesses.
func (h *Hub) authenticate(w http.ResponseWriter, r *http.Request) (token, id string, ok bool) {
	token, fromCookie := tokenOf(r)
	if fromCookie && !ownOrigin(r) {
		return "", "", refuse(w, http.StatusForbidden, "Send the token in the Authorization header: cookies are not accepted from pages of another origin.")
	}
	err := store.ErrUnknownToken
	if token != "" {
		if id, err = h.store.Authenticate(token); err == nil {
			return token, id, true
		}
	}
	if !h.failures.take(addressOf(r.RemoteAddr)) {
		h.counters.refusedRate.Add(1)
		retryAfter(w, 30)
		return "", "", refuse(w, http.StatusTooManyRequests, "Too many failed attempts from this address: check the device's token, then wait.")
	}
	h.counters.refusedToken.Add(1)
	h.log.Warn("device refused", "address", r.RemoteAddr, "reason", err)
	switch {
	case errors.Is(err, store.ErrRevoked):
		return "", "", refuse(w, http.StatusForbidden, "This device is revoked: give it a new token to let it in again.")
	case token == "":
		w.Header().Set("WWW-Authenticate", "Bearer realm="+strconv.Quote(h.name))
		return "", "", refuse(w, http.StatusUnauthorized, "Send the device's token: Authorization: Bearer TOKEN, or the cookie "+cookieName+".")
	default:
		w.Header().Set("WWW-Authenticate", "Bearer realm="+strconv.Quote(h.name)+`, error="invalid_token"`) // RFC 6750 §3
		return "", "", refuse(w, http.StatusUnauthorized, "This token is not known: register the device, or give it its present token.")
	}
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

// ownOrigin tells whether a browser that sent this request showed a page of the hub itself. Programs send no Origin, or,
// like some libraries for microcontrollers, one that no web page can have.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || origin == "null" {
		return false
	}
	return u.Scheme != "http" && u.Scheme != "https" || strings.EqualFold(u.Host, r.Host)
}

// reserve takes a place for one more connection of a device, or says why there is none. The rate of handshakes is checked
// last, and for devices only: strangers must not use it up.
func (h *Hub) reserve(w http.ResponseWriter, id string, network netip.Prefix) bool {
	if !h.connects.take(id) {
		h.counters.refusedRate.Add(1)
		retryAfter(w, 20)
		return refuse(w, http.StatusTooManyRequests, "This device connects too often: wait, and check that no other device uses its token.")
	}
	err := h.registry.take(id, network)
	if err == nil && !h.handshakes.Allow() {
		h.registry.release(network)
		err = errBusy
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, errAddressFull):
		h.counters.refusedFull.Add(1)
		retryAfter(w, 60)
		return refuse(w, http.StatusTooManyRequests, "This address has as many connections as the hub allows: close some, or raise the limit.")
	default: // full, busy or stopping: another time, and not all at once
		h.counters.refusedFull.Add(1)
		retryAfter(w, 30)
		return refuse(w, http.StatusServiceUnavailable, "The hub "+err.Error()+": come back after the time in Retry-After.")
	}
}

// upgrade answers 101 and starts the session. After an error the connection is closed.
func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request, token, id string, network netip.Prefix) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, http.StatusHTTPVersionNotSupported, "Use HTTP/1.1 for the WebSocket handshake.")
		return err
	}
	// The server's own 4 KiB buffer is not kept, only what it has read already.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	wire := &wire{Conn: conn, timeout: h.limits.WriteTimeout, elapsed: h.elapsed, early: bytes.Clone(early)}
	socket, err := h.upgrader.UpgradeFromConn(wire, bufio.NewReaderSize(wire, readBuffer), r)
	if err != nil {
		wire.cut()
		return err
	}
	if c, ok := tcpOf(conn).(*gatedConn); ok {
		c.admit()
	}
	s := newSession(h, id, network, socket, wire, r.RemoteAddr)
	if !h.registry.enter(s) {
		wire.cut()
		return errStopping
	}
	// Revoking closes the connections it finds. It did not find this one if it came after authenticate and before enter.
	if _, err := h.store.Authenticate(token); err != nil {
		s.close(device.CloseRevoked, "the token is no longer valid")
	}
	go s.run()
	return nil
}

// newUpgrader returns the gws side of all device connections.
func newUpgrader(limits Limits) *gws.Upgrader {
	return gws.NewUpgrader(events{}, &gws.ServerOption{
		ReadMaxPayloadSize:  device.MaxMessage,
		WriteMaxPayloadSize: device.MaxMessage,
		ParallelGolimit:     1, // sizes a channel that is made even when nothing runs in parallel
		SubProtocols:        []string{device.Subprotocol},
		HandshakeTimeout:    limits.WriteTimeout,
		NewSession:          func() gws.SessionStorage { return nil }, // the wire knows the session
	})
}

// refuse answers with one sentence and closes the connection. It returns false, for the caller to return.
func refuse(w http.ResponseWriter, status int, sentence string) bool {
	header := w.Header()
	header.Set("Connection", "close") // net/http closes only if this is the first line and nothing else is in it
	if header.Get("Upgrade") != "" {
		header.Add("Connection", "Upgrade") // RFC 9110 §7.8
	}
	http.Error(w, sentence, status)
	return false
}

// retryAfter asks to come back after 1 to most seconds: at random, so that those refused together do not return together.
func retryAfter(w http.ResponseWriter, most int) {
	w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(most)))
}

// hasToken tells whether a comma-separated header, in any number of lines, has a token, in any case.
func hasToken(lines []string, token string) bool {
	return slices.ContainsFunc(tokens(lines), func(t string) bool { return strings.EqualFold(t, token) })
}

// tokens are the parts of a comma-separated header, in any number of lines (RFC 9110 §5.3).
func tokens(lines []string) []string {
	parts := strings.Split(strings.Join(lines, ","), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
