package hub

import (
	"strings"
)

// serverLog is where the HTTP server writes what goes wrong with connections: strangers fail TLS handshakes all the time, and
// so does a device that does not trust the certificate.
type serverLog struct {
	hub *Hub
}

func (l serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	l.hub.log.Debug("HTTP server", "message", text)
	if address, reason, ok := tlsFailure(text); ok {
		l.hub.feed.TLSFailed(address, reason)
	}
	return len(line), nil
}

// tlsFailure takes apart what net/http says of a failed TLS handshake. Connections that just end are of no interest: that is
// what health checks and port scanners do.
func tlsFailure(line string) (address, reason string, ok bool) {
	rest, ok := strings.CutPrefix(line, "http: TLS handshake error from ")
	if !ok {
		return "", "", false
	}
	address, reason, ok = strings.Cut(rest, ": ")
	for _, end := range []string{"EOF", "connection reset by peer", "i/o timeout", "broken pipe", "use of closed network connection"} {
		if strings.HasSuffix(reason, end) {
			return "", "", false
		}
	}
	return address, reason, ok
}
