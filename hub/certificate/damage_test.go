package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever happens to one file, the hub starts, says so, and keeps all the trust that can be kept: in the CA while its key or
// the certificate under it are left, in the public key while the key is.
func TestDamagedFiles(t *testing.T) {
	damages := map[string]func(path string) error{
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 100) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("\x00", 512)), 0o600) },
		"other PEM": func(path string) error {
			return os.WriteFile(path, []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n"), 0o600)
		},
		"missing":   os.Remove,
		"directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"huge":      func(path string) error { return os.Truncate(path, 1<<30) },
	}
	for _, of := range []struct {
		file, alarm  string
		quietMissing bool // what is missing can be made again as it was
		newPin       bool
	}{
		{"ca.pem", alarmCA, true, false},
		{"ca-key.pem", alarmCA, false, false},
		{"certificate.pem", alarmLeaf, true, false},
		{"key.pem", alarmKey, false, true},
	} {
		for how, damage := range damages {
			t.Run(of.file+" "+how, func(t *testing.T) {
				r := newRig(t)
				before := r.open().Info()
				if err := damage(r.file(of.file)); err != nil {
					t.Fatal(err)
				}
				c := r.open()
				if of.quietMissing && how == "missing" {
					r.wantAlarms()
				} else {
					r.wantAlarms(of.alarm)
				}
				if err := r.trusts(c, before.Trust(), "localhost"); err != nil {
					t.Error(err)
				}
				if err := r.trusts(c, string(r.read(c.Info().TrustFile)), "localhost"); err != nil {
					t.Errorf("with the CA that is there now: %v", err)
				}
				if newPin := c.Info().PublicKey != before.PublicKey; newPin != of.newPin {
					t.Errorf("another public key: %v", newPin)
				}
				aside, _ := filepath.Glob(r.file(of.file + ".damaged-*"))
				if (len(aside) == 1) == (how == "missing") {
					t.Errorf("set aside: %v", aside)
				}
				after := c.Info()
				c = r.open()
				if of.file == "ca-key.pem" {
					r.wantAlarms(alarmCA) // as long as nothing can be signed
				} else {
					r.wantAlarms()
				}
				if c.Info().Fingerprint != after.Fingerprint {
					t.Error("the next start made another")
				}
			})
		}
	}
}

// Without the CA's key nothing can be signed under the CA that devices have: the certificate stays as long as it works.
func TestTheKeyOfTheCAIsLost(t *testing.T) {
	r := newRig(t)
	before := r.open().Info()
	key := r.read(r.file("ca-key.pem"))
	os.Remove(r.file("ca-key.pem"))
	c := r.open()
	r.name = "other"
	r.check(c)
	if c.Info().Fingerprint != before.Fingerprint {
		t.Error("the certificate was given up while it worked")
	}
	r.wantAlarms(alarmCA)

	r.write(r.file("ca-key.pem"), key) // from a backup
	if err := c.Reload(); err != nil || !c.Covers("other") || c.Info().CA.Fingerprint != before.CA.Fingerprint {
		t.Errorf("with the key again: %v", err)
	}
	r.wantAlarms()

	os.Remove(r.file("ca-key.pem"))
	c = r.open()
	r.now = r.now.AddDate(3, 0, 0)
	r.check(c)
	if err := r.trusts(c, string(r.read(r.file("ca.pem"))), "localhost"); err != nil || c.Info().PublicKey != before.PublicKey {
		t.Errorf("after its end: %v", err)
	}
	r.wantAlarms(alarmCA)

	os.Remove(r.file("ca-key.pem"))
	c = r.open()
	before = c.Info()
	if err := c.Renew(); err != nil || c.Info().CA.Fingerprint == before.CA.Fingerprint {
		t.Errorf("a new CA was asked for: %v", err)
	}
	r.wantAlarms()
}

// A file that can't be opened for the moment is not damaged: a reload keeps the key that devices have pinned.
func TestReloadWithAFileThatCannotBeOpened(t *testing.T) {
	for _, name := range []string{keyFile, caKeyFile, leafFile, caFile} {
		r := newRig(t)
		c := r.open()
		before := c.Info()
		if err := errors.Join(os.Rename(r.file(name), r.file("elsewhere")), os.Symlink(name, r.file(name))); err != nil {
			t.Fatal(err)
		}
		if err := c.Reload(); err == nil {
			t.Errorf("%s: no error", name)
		}
		r.wantAlarms(alarmReload)
		if err := os.Rename(r.file("elsewhere"), r.file(name)); err != nil {
			t.Fatal(err)
		}
		if err := c.Reload(); err != nil {
			t.Error(err)
		}
		r.wantAlarms()
		if now := c.Info(); now.Fingerprint != before.Fingerprint || now.CA.Fingerprint != before.CA.Fingerprint {
			t.Errorf("%s: another certificate", name)
		}
	}
}

// Files that are whole, but do not belong together.
func TestMixedFiles(t *testing.T) {
	other := newRig(t)
	other.open()
	for name, alarm := range map[string]string{"ca.pem": alarmCA, "ca-key.pem": alarmCA, "certificate.pem": alarmLeaf, "key.pem": alarmLeaf} {
		r := newRig(t)
		ca := r.open().Info().Trust()
		r.write(r.file(name), r.read(other.file(name)))
		c := r.open()
		r.wantAlarms(alarm)
		if err := r.trusts(c, ca, "localhost"); err != nil {
			t.Errorf("another %s: %v", name, err)
		}
		if err := r.trusts(c, string(r.read(r.file("ca.pem"))), "localhost"); err != nil {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// A disk that takes nothing must not keep the hub from serving.
func TestNothingCanBeWritten(t *testing.T) {
	r := newRig(t)
	elsewhere := filepath.Join(r.dir, "elsewhere")
	if err := os.Symlink(elsewhere, r.file("")); err != nil { // to a disk that is not there yet
		t.Fatal(err)
	}
	c := r.open()
	r.wantAlarms(alarmSave)
	if err := r.trusts(c, c.Info().Trust(), "localhost"); err != nil {
		t.Error(err)
	}
	fingerprint := c.Info().Fingerprint
	if err := c.Reload(); err != nil || c.Info().Fingerprint != fingerprint {
		t.Errorf("a reload lost it: %v", err)
	}
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	r.check(c)
	r.wantAlarms()
	if again := r.open(); again.Info().Fingerprint != fingerprint {
		t.Error("what is on disk now is another one")
	}
}

// loneCertificate makes what older versions made: a certificate that signed itself, and its key.
func (r *rig) loneCertificate() {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "telemetry-hub"}, DNSNames: []string{"localhost"},
		NotBefore: r.now.Add(-time.Hour), NotAfter: r.now.AddDate(2, 0, 0), BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		r.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.Fatal(err)
	}
	if err := os.MkdirAll(r.file(""), 0o700); err != nil {
		r.Fatal(err)
	}
	r.write(r.file("certificate.pem"), []byte(asPEM(der)))
	r.write(r.file("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// Devices were given the certificate itself, so it stays until somebody has given them the CA.
func TestCertificateOfAnOlderVersion(t *testing.T) {
	r := newRig(t)
	r.loneCertificate()
	old := string(r.read(r.file("certificate.pem")))
	c := r.open()
	for range 2 {
		r.wantAlarms(alarmUse)
		i := c.Info()
		if err := r.trusts(c, old, "localhost"); err != nil || i.PEM != old || i.Trust() != old || i.TrustFile != r.file("certificate.pem") || !i.SelfSigned {
			t.Errorf("%v: %+v", err, i)
		}
		r.name = "other"
		r.check(c)
	}
	ca := string(r.read(r.file("ca.pem"))) // devices can be given it before
	key := c.Info().PublicKey
	r.now = r.now.AddDate(3, 0, 0)
	r.check(c)
	if c.Info().PEM != old || !strings.Contains(r.alarms[alarmUse], "not valid") {
		t.Errorf("it has ended: %q", r.alarms)
	}
	if err := c.Renew(); err != nil {
		t.Fatal(err)
	}
	if err := r.trusts(c, ca, "other"); err != nil || c.Info().PublicKey != key {
		t.Errorf("renewed: %v", err)
	}
	r.wantAlarms()
	if again := r.open(); again.Info().Fingerprint != c.Info().Fingerprint {
		t.Error("the next start made another")
	}

	r = newRig(t)
	r.loneCertificate()
	r.write(r.file("certificate.pem"), nil)
	c = r.open()
	r.wantAlarms(alarmLeaf)
	if err := r.trusts(c, c.Info().Trust(), "localhost"); err != nil || !strings.Contains(r.alarms[alarmLeaf], "install the CA on the devices") {
		t.Errorf("a damaged one: %v, %q", err, r.alarms)
	}
}
