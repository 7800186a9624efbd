package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// selfSignedLife is the longest that Apple's clients accept; others accept more.
	selfSignedLife = 825 * 24 * time.Hour

	// renewBefore is how long before its end a self-signed certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// Certificate is the hub's TLS certificate and key, read from files and replaceable while the hub runs.
type Certificate struct {
	Path    string // PEM file of the certificate; devices can be given it as the authority to trust
	Created bool   // LoadOrCreateCertificate made it

	keyPath    string
	selfSigned bool // made by us, renewed by us
	mu         sync.Mutex
	loaded     atomic.Pointer[tls.Certificate] // with Leaf
}

// LoadOrCreateCertificate reads certFile and keyFile (PEM). If both are "", it uses dataDir/tls/certificate.pem and
// dataDir/tls/key.pem, which it makes, self-signed for all names and addresses of this machine, if they are not there yet.
// Shortly before its end such a certificate is renewed with the same key; who trusts the certificate itself, and not its
// key, must then be given the new one.
func LoadOrCreateCertificate(dataDir, certFile, keyFile string) (*Certificate, error) {
	if (certFile == "") != (keyFile == "") {
		return nil, errors.New("a certificate file and a key file go together: give both or neither")
	}
	c := &Certificate{Path: certFile, keyPath: keyFile}
	if certFile == "" {
		dir := filepath.Join(dataDir, "tls")
		c.Path, c.keyPath, c.selfSigned = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem"), true
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
			c.Created = true
			if err := c.create(); err != nil {
				return nil, fmt.Errorf("make a self-signed certificate: %w", err)
			}
		}
	}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again. On an error, such as a key that does not belong to the certificate, the old certificate
// stays in use.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reload()
}

func (c *Certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.Path, c.keyPath)
	if err != nil {
		return fmt.Errorf("load the certificate %s with the key %s: %w", c.Path, c.keyPath, err)
	}
	if c.selfSigned && time.Until(pair.Leaf.NotAfter) < renewBefore {
		if err := c.create(); err != nil {
			return fmt.Errorf("renew the self-signed certificate: %w", err)
		}
		if pair, err = tls.LoadX509KeyPair(c.Path, c.keyPath); err != nil {
			return fmt.Errorf("load the renewed certificate %s: %w", c.Path, err)
		}
	}
	c.loaded.Store(&pair)
	return nil
}

// Fingerprint returns the SHA-256 of the certificate (DER) in lower-case hex.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.loaded.Load().Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// NotAfter returns when the certificate ends.
func (c *Certificate) NotAfter() time.Time { return c.loaded.Load().Leaf.NotAfter }

// SelfSigned tells whether the certificate is its own authority: whoever is to trust it has to be given it.
func (c *Certificate) SelfSigned() bool {
	leaf := c.loaded.Load().Leaf
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject)
}

// PEM returns the certificate and what follows it in its file, as PEM.
func (c *Certificate) PEM() string {
	var text []byte
	for _, der := range c.loaded.Load().Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(text)
}

// Covers tells whether the certificate is for this host name or address.
func (c *Certificate) Covers(host string) bool {
	return c.loaded.Load().Leaf.VerifyHostname(host) == nil
}

// TLSConfig returns the server configuration for Hub.Run: this certificate, TLS 1.2 or newer.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// get is tls.Config.GetCertificate. A hub may run for longer than its certificate is valid.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := c.loaded.Load()
	if c.selfSigned && time.Until(pair.Leaf.NotAfter) < renewBefore && c.mu.TryLock() {
		defer c.mu.Unlock()
		if c.reload() == nil {
			pair = c.loaded.Load()
		}
	}
	return pair, nil
}

// create writes a new self-signed certificate, for the key that is there or, if there is none, a new one.
func (c *Certificate) create() error {
	key, err := c.key()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "telemetry-hub"},
		NotBefore:    now.Add(-time.Hour), // clocks of devices differ
		NotAfter:     now.Add(selfSignedLife - time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Not an authority: a person who trusts this certificate trusts this hub, not what its key might sign.
		BasicConstraintsValid: true,
	}
	template.DNSNames, template.IPAddresses = ownNames()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return writeFile(c.Path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// key reads the private key or, if there is no file, makes one and writes it.
func (c *Certificate) key() (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(c.keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, writeFile(c.keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file: remove it to have a new key made", c.keyPath)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove it to have a new key made", c.keyPath, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key: remove it to have a new key made", c.keyPath)
	}
	return key, nil
}

// ownNames are the names and addresses under which clients may reach this machine.
func ownNames() (names []string, addresses []net.IP) {
	names = []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" {
		names = append(names, host)
	}
	addresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	interfaces, _ := net.InterfaceAddrs() // without them the certificate still serves names and loopback
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			addresses = append(addresses, n.IP)
		}
	}
	return names, addresses
}

// writeFile replaces a file as a whole, so that nobody reads half of one, and makes it durable.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it has been renamed
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
