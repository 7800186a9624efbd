package hub

import "crypto/tls"

// Certificate is the hub's TLS certificate and key, read from files and replaceable while the hub runs.
type Certificate struct {
	Path    string // PEM file of the certificate
	Created bool   // it was made by this call of LoadOrCreateCertificate
}

// LoadOrCreateCertificate reads certFile and keyFile. If both are "", it uses dataDir/tls/certificate.pem and key.pem,
// which it makes, self-signed, if they are not there yet.
func LoadOrCreateCertificate(dataDir, certFile, keyFile string) (*Certificate, error) {
	return &Certificate{}, nil
}

// Fingerprint returns the SHA-256 of the certificate (DER) in lower-case hex.
func (c *Certificate) Fingerprint() string { return "" }

// Reload reads the files again. On an error the old certificate stays in use.
func (c *Certificate) Reload() error { return nil }

// TLSConfig returns the server configuration for Hub.Run: this certificate, TLS 1.2 or newer, HTTP/1.1.
func (c *Certificate) TLSConfig() *tls.Config { return &tls.Config{} }
