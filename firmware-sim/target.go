package firmwaresim

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Target is a hub as a device sees it.
type Target struct {
	URL string      // wss://HOST:PORT
	TLS *tls.Config // nil: the system's roots
}

// NewTarget checks the address of a hub and loads the certificate to trust. Without caFile and insecure the system's
// roots decide. https:// is taken for wss://, so that the line a hub prints when it is ready can be pasted.
func NewTarget(hub, caFile string, insecure bool) (Target, error) {
	u, err := url.Parse(hub)
	if err != nil {
		return Target{}, problem("for example wss://gateway.local:8443", "hub address: %w", err)
	}
	switch u.Scheme {
	case "wss":
	case "https":
		u.Scheme = "wss"
	default:
		return Target{}, problem("for example wss://gateway.local:8443", "hub address %q does not begin with wss://", hub)
	}
	if u.Host == "" {
		return Target{}, problem("for example wss://gateway.local:8443", "hub address %q names no host", hub)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case caFile != "" && insecure:
		return Target{}, problem("leave one of them out", "--ca and --insecure contradict each other")
	case insecure:
		config.InsecureSkipVerify = true
	case caFile != "":
		if config.RootCAs, err = loadRoots(caFile); err != nil {
			return Target{}, err
		}
	}
	return Target{URL: u.String(), TLS: config}, nil
}

func loadRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, problem("a hub keeps its own CA in DATA-DIR/tls/ca.pem", "certificate to trust: %w", err)
	}
	if pem, err = text.UTF8(pem); err != nil {
		return nil, fmt.Errorf("certificate to trust: %s: %w", path, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate to trust: %s holds no PEM certificate", path)
	}
	return pool, nil
}
