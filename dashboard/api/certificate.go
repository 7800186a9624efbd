package api

import (
	"log/slog"
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// Certificate is the hub's certificate.
type Certificate struct {
	Names       []string    `json:"names"`        // host names, then addresses
	Fingerprint string      `json:"fingerprint"`  // SHA-256 of the certificate in hex; another one after each renewal
	PublicKey   string      `json:"public_key"`   // SHA-256 of its public key (SubjectPublicKeyInfo) in hex; stays over renewals
	PEM         string      `json:"pem"`          // with its chain
	NotBefore   live.Millis `json:"not_before"`   // ms since 1970
	NotAfter    live.Millis `json:"not_after"`    // ms since 1970
	SelfSigned  bool        `json:"self_signed"`  // nobody else signed it: it has to be trusted itself
	CA          string      `json:"ca,omitempty"` // PEM of the hub's own CA, which signed it; absent: another did

	TrustFile     string      `json:"trust_file"`               // on the hub's machine: what a device has to be given
	CAFingerprint string      `json:"ca_fingerprint,omitempty"` // SHA-256 of the CA's certificate in hex
	CANotAfter    live.Millis `json:"ca_not_after,omitempty"`   // ms since 1970
}

// certificateInfo is the certificate in use or, where no hub runs, the one that it keeps in its data directory.
func (a *API) certificateInfo() (certificate.Info, error) {
	if a.certificate != nil {
		return a.certificate.Info(), nil
	}
	return certificate.Stored(a.store.Dir())
}

func (a *API) serveCertificate(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	info, err := a.certificateInfo()
	if err != nil {
		a.Failed(w, err)
		return
	}
	if !unchanged(w, r, info.Fingerprint) {
		Answer(w, http.StatusOK, describeCertificate(&info))
	}
}

// renewCertificate makes another one in place of the hub's own, with the same key.
func (a *API) renewCertificate(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	cert, err := a.certificate, error(nil)
	if cert == nil {
		cert, err = certificate.Open(certificate.Config{DataDir: a.store.Dir(), Logger: slog.New(slog.DiscardHandler)})
	}
	if err == nil {
		err = cert.Renew()
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.audit(by, "certificate renewed", "", "")
	info := cert.Info()
	Answer(w, http.StatusOK, describeCertificate(&info))
}

func describeCertificate(c *certificate.Info) Certificate {
	out := Certificate{
		Names: c.Names, Fingerprint: c.Fingerprint, PublicKey: c.PublicKey, PEM: c.PEM,
		NotBefore: Millis(c.NotBefore), NotAfter: Millis(c.NotAfter), SelfSigned: c.SelfSigned, TrustFile: c.TrustFile,
	}
	if c.CA != nil {
		out.CA, out.CAFingerprint, out.CANotAfter = c.CA.PEM, c.CA.Fingerprint, Millis(c.CA.NotAfter)
	}
	return out
}
