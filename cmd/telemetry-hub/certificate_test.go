package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCertificateShowAndRenew(t *testing.T) {
	dir := t.TempDir()
	cli(t, "certificate", "show", "--data-dir", dir).wants(t, exitUnreachable, "hint: ")
	p := start(t, dir, nil)
	type info struct {
		Fingerprint, PEM string
		PublicKey        string `json:"public_key"`
		CA               string
	}
	var running, renewed, stopped info
	mustJSON(t, &running, "certificate", "show", "--format", "json", "--data-dir", dir)
	if out := must(t, "certificate", "show", "--data-dir", dir); !strings.Contains(out, p.publicKey) || !strings.Contains(out, "localhost") ||
		!strings.Contains(out, filepath.Join(dir, "tls", "ca.pem")+", to 2100-01-01") {
		t.Errorf("it shows\n%s", out)
	}
	must(t, "certificate", "renew", "--data-dir", dir)
	mustJSON(t, &renewed, "certificate", "show", "--format", "json", "--data-dir", dir)
	if renewed.Fingerprint == running.Fingerprint || renewed.PublicKey != p.publicKey || p.servedKey(t) != p.publicKey {
		t.Errorf("renewed: %+v, before %+v", renewed, running)
	}
	conn, err := tls.Dial("tcp", p.address, roots(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	mustJSON(t, &stopped, "certificate", "show", "--format", "json", "--data-dir", dir)
	if stopped.Fingerprint != renewed.Fingerprint || stopped.CA != running.CA {
		t.Errorf("without a hub it shows %+v", stopped)
	}
	must(t, "certificate", "renew", "--data-dir", dir)
	mustJSON(t, &renewed, "certificate", "show", "--format", "json", "--data-dir", dir)
	if renewed.Fingerprint == stopped.Fingerprint || renewed.PublicKey != p.publicKey {
		t.Errorf("renewed without a hub: %+v", renewed)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tls", "certificate.pem"))
	if err != nil || string(text) != renewed.PEM || !x509.NewCertPool().AppendCertsFromPEM(text) {
		t.Errorf("the file has %q, %v", text, err)
	}
}
