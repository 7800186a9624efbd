package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// endsSoon is how long before the end of a given certificate an operator is warned. Those of Let's Encrypt are renewed 30
// days before it: then something has failed already.
const endsSoon = 21 * 24 * time.Hour

// given is a certificate that the operator keeps.
type given struct {
	config Config
	served *served
}

func (g *given) load() (*served, error) {
	cert, err := readFile(g.config.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readFile(g.config.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load the certificate %s with the key %s: %w", g.config.CertFile, g.config.KeyFile, err)
	}
	warnOfOpenKey(g.config, g.config.KeyFile)
	g.served = &served{pair: pair, trustFile: g.config.CertFile}
	return g.check(), nil
}

func (g *given) check() *served {
	g.config.Alarm(alarmUse, wrongNow(g.config.CertFile, g.served.pair.Leaf, g.config.Now()))
	return g.served
}

// wrongNow says what is wrong with the dates of a certificate that somebody else keeps, "" if nothing is.
func wrongNow(path string, leaf *x509.Certificate, now time.Time) string {
	const mend = "put a new one there and reload the hub (systemctl reload telemetry-hub)"
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate %s expired on %s, and devices and browsers refuse it: %s", path, date(leaf.NotAfter), mend)
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate %s is not valid yet by the hub's clock, but from %s on: check the clock and the certificate", path, date(leaf.NotBefore))
	case leaf.NotAfter.Sub(now) < endsSoon:
		return fmt.Sprintf("the certificate %s expires on %s: %s", path, date(leaf.NotAfter), mend)
	}
	return ""
}

func (g *given) renew() (*served, error) { return nil, ErrGiven }

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// warnOfOpenKey logs that others can read or replace a key. What systemd hands over as a credential is protected by its
// directory, although its mode shows the group's bit for an access control list.
func warnOfOpenKey(c Config, path string) {
	credentials := os.Getenv("CREDENTIALS_DIRECTORY")
	if credentials != "" && strings.HasPrefix(path, filepath.Clean(credentials)+string(filepath.Separator)) {
		return
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		c.Logger.Warn("other users may read the key of the hub's certificate: chmod 600 it, and replace it if they may have read it",
			"file", path, "mode", info.Mode().Perm().String())
	}
}
