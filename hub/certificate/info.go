package certificate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"time"
)

// Info describes the certificate in use.
type Info struct {
	Names       []string  `json:"names"` // host names, then addresses
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"fingerprint"`  // SHA-256 of the certificate (DER) in lower-case hex; another one after each renewal
	PublicKey   string    `json:"public_key"`   // SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1), the same over renewals
	PEM         string    `json:"pem"`          // the certificate, with its chain
	SelfSigned  bool      `json:"self_signed"`  // nobody else signed it: it has to be trusted itself
	CA          *CA       `json:"ca,omitempty"` // the hub's own, which signed it; nil: another did
	TrustFile   string    `json:"trust_file"`   // what devices are given: the file with the CA or, without, the certificate
}

// CA describes the hub's own certificate authority.
type CA struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256 of its certificate (DER) in lower-case hex
	NotAfter    time.Time `json:"not_after"`
	PEM         string    `json:"pem"`
}

// Trust is what devices are given as PEM: the CA or, without, the certificate with its chain.
func (i Info) Trust() string {
	if i.CA != nil {
		return i.CA.PEM
	}
	return i.PEM
}

// Info describes the certificate in use.
func (c *Certificate) Info() Info { return c.served.Load().info() }

func (s *served) info() Info {
	leaf := s.pair.Leaf
	i := Info{
		Names: append([]string{}, leaf.DNSNames...), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Fingerprint: hash(leaf.Raw), PublicKey: hash(leaf.RawSubjectPublicKeyInfo), PEM: asPEM(s.pair.Certificate...),
		SelfSigned: selfSigned(leaf), TrustFile: s.trustFile,
	}
	for _, ip := range leaf.IPAddresses {
		i.Names = append(i.Names, ip.String())
	}
	if s.ca != nil {
		i.CA = &CA{Fingerprint: hash(s.ca.Raw), NotAfter: s.ca.NotAfter, PEM: asPEM(s.ca.Raw)}
	}
	return i
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func hash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func asPEM(certificates ...[]byte) string {
	var text []byte
	for _, der := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(text)
}
