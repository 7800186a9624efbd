package socket

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// Check checks what RFC 6455 §4.2.1 asks of a client. It must offer the subprotocol; if that is optional, it may also offer
// none, but not only others: a browser would fail a connection that is answered without one (WHATWG WebSockets §9.3.1).
// A request that does not pass is answered, and Check returns false. The request's headers become what Upgrade expects.
func Check(w http.ResponseWriter, r *http.Request, protocol string, optional bool) bool {
	header := w.Header()
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return Refuse(w, http.StatusHTTPVersionNotSupported, "Use HTTP/1.1 for the WebSocket handshake.")
	}
	if r.Method != http.MethodGet {
		header.Set("Allow", http.MethodGet)
		return Refuse(w, http.StatusMethodNotAllowed, "Use GET with a WebSocket handshake.")
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return Refuse(w, http.StatusBadRequest, "Send the WebSocket handshake without a body.")
	}
	header.Set("Sec-WebSocket-Version", "13")
	header.Set("Upgrade", "websocket")
	if !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket") {
		return Refuse(w, http.StatusUpgradeRequired, "Connect with a WebSocket client: this path speaks "+protocol+" only.")
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || strings.TrimSpace(v[0]) != "13" {
		return Refuse(w, http.StatusUpgradeRequired, "Use WebSocket version 13.")
	}
	offered := r.Header["Sec-Websocket-Protocol"]
	if len(offered) == 0 && !optional {
		header.Set("Sec-WebSocket-Protocol", protocol)
		return Refuse(w, http.StatusUpgradeRequired, "Offer the subprotocol "+protocol+" in Sec-WebSocket-Protocol.")
	}
	header.Del("Sec-WebSocket-Version")
	header.Del("Upgrade")
	if len(offered) > 0 && !Offers(r, protocol) {
		return Refuse(w, http.StatusBadRequest, "Offer the subprotocol "+protocol+": this hub speaks no other.")
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return Refuse(w, http.StatusBadRequest, "Send one Sec-WebSocket-Key.")
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return Refuse(w, http.StatusBadRequest, "Send 16 random bytes in base64 as Sec-WebSocket-Key.")
	}
	// gws reads only the first line of each, and compares the whole of Upgrade.
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	if len(offered) > 0 {
		r.Header.Set("Sec-WebSocket-Protocol", protocol)
	}
	return true
}

// Offers reports whether a client offers a subprotocol.
func Offers(r *http.Request, protocol string) bool {
	return slices.Contains(tokens(r.Header["Sec-Websocket-Protocol"]), protocol)
}

// Refuse answers with one sentence and closes the connection. It returns false, for the caller to return.
func Refuse(w http.ResponseWriter, status int, sentence string) bool {
	header := w.Header()
	header.Set("Connection", "close") // net/http closes only if this is the first line and nothing else is in it
	if header.Get("Upgrade") != "" {
		header.Add("Connection", "Upgrade") // RFC 9110 §7.8
	}
	http.Error(w, sentence, status)
	return false
}

// hasToken reports whether a comma-separated header, in any number of lines, has a token, in any case.
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
