package dashboard

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// ownNames are the names that the hub answers to besides those in its certificate: the machine's, as DNS and mDNS have it,
// and more, which may be empty.
func ownNames(more []string) []string {
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, strings.ToLower(host), strings.ToLower(host)+".local")
	}
	for _, name := range more {
		if name != "" {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

// allowedHost reports whether the request is for this hub by one of its names or by any IP address. A page of an attacker
// whose name was made to point at the hub (DNS rebinding) is of the hub's own origin for the browser; only the name in Host
// gives it away.
func (d *Dashboard) allowedHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.Contains(d.names, host) || d.certificate != nil && d.certificate.Covers(host)
}

// sameOrigin reports whether the browser says that a page of this hub sent the request: its Origin is exactly the scheme,
// name and port of the request itself or, without Origin, as in GETs of the same origin, Sec-Fetch-Site says so. Programs
// send neither.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") == "same-origin"
	}
	scheme := "https://"
	if r.TLS == nil {
		scheme = "http://"
	}
	return strings.EqualFold(origin, scheme+r.Host)
}
