package hub

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSelfSignedCertificate(t *testing.T) {
	dir := t.TempDir()
	c, err := LoadOrCreateCertificate(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	leaf := c.loaded.Load().Leaf
	if !c.Created || c.Path != filepath.Join(dir, "tls", "certificate.pem") || len(c.Fingerprint()) != 64 || leaf.IsCA {
		t.Errorf("%+v, CA %v", c, leaf.IsCA)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if host, err := os.Hostname(); err == nil && leaf.VerifyHostname(host) != nil {
		t.Errorf("not for this host, %s", host)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 825*24*time.Hour || life < 365*24*time.Hour {
		t.Errorf("valid for %v", life)
	}
	for path, mode := range map[string]os.FileMode{c.Path: 0o644, c.keyPath: 0o600, filepath.Join(dir, "tls"): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "tls")); len(files) != 2 {
		t.Errorf("%v", files)
	}
	again, err := LoadOrCreateCertificate(dir, "", "")
	if err != nil || again.Created || again.Fingerprint() != c.Fingerprint() {
		t.Errorf("the second start made another: %v", err)
	}
	// A crash between the two files leaves the key.
	if err := os.Remove(c.Path); err != nil {
		t.Fatal(err)
	}
	again, err = LoadOrCreateCertificate(dir, "", "")
	if err != nil || !again.Created || !sameKey(c, again) {
		t.Errorf("after a crash: %v", err)
	}
	if err := os.Remove(c.keyPath); err != nil {
		t.Fatal(err)
	}
	if _, err = LoadOrCreateCertificate(dir, "", ""); err == nil || !strings.Contains(err.Error(), "key.pem") {
		t.Errorf("without a key: %v", err)
	}
}

func sameKey(a, b *Certificate) bool {
	return a.loaded.Load().Leaf.PublicKey.(*ecdsa.PublicKey).Equal(b.loaded.Load().Leaf.PublicKey)
}

func TestCertificateIsRenewedWithItsKey(t *testing.T) {
	dir := t.TempDir()
	c, err := LoadOrCreateCertificate(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	// The hub has run for two years.
	pair := c.loaded.Load()
	old := *pair.Leaf
	old.NotAfter = time.Now().Add(29 * 24 * time.Hour)
	old.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &old, &old, pair.Leaf.PublicKey, pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	almostOver, err := tls.LoadX509KeyPair(c.Path, c.keyPath)
	if err != nil {
		t.Fatal(err)
	}
	c.loaded.Store(&almostOver)
	served, err := c.TLSConfig().GetCertificate(nil)
	if err != nil || time.Until(served.Leaf.NotAfter) < renewBefore || time.Until(c.NotAfter()) < renewBefore {
		t.Errorf("served until %v, %v", served.Leaf.NotAfter, err)
	}
	fresh, err := LoadOrCreateCertificate(dir, "", "")
	if err != nil || !sameKey(c, fresh) || fresh.Fingerprint() != c.Fingerprint() {
		t.Errorf("the renewed certificate is not in the file: %v", err)
	}
}

func TestGivenCertificate(t *testing.T) {
	dir := t.TempDir()
	one, err := LoadOrCreateCertificate(filepath.Join(dir, "1"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	two, err := LoadOrCreateCertificate(filepath.Join(dir, "2"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	install := func(cert, key string) {
		t.Helper()
		for from, to := range map[string]string{cert: certFile, key: keyFile} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := LoadOrCreateCertificate(dir, certFile, ""); err == nil {
		t.Error("a certificate without a key was accepted")
	}
	if _, err := LoadOrCreateCertificate(dir, certFile, keyFile); err == nil {
		t.Error("missing files were accepted")
	}
	install(one.Path, one.keyPath)
	c, err := LoadOrCreateCertificate(dir, certFile, keyFile)
	if err != nil || c.Created || c.Path != certFile || c.Fingerprint() != one.Fingerprint() {
		t.Fatalf("%+v, %v", c, err)
	}
	install(two.Path, one.keyPath)
	if err := c.Reload(); err == nil || c.Fingerprint() != one.Fingerprint() {
		t.Errorf("a key of another certificate: %v", err)
	}
	install(two.Path, two.keyPath)
	if err := c.Reload(); err != nil || c.Fingerprint() != two.Fingerprint() {
		t.Errorf("reload: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tls")); err == nil {
		t.Error("a certificate was made although one was given")
	}
}
